"""Tests that no template of a user takes for ever, and that bounds change no other text."""

from __future__ import annotations

import jinja2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snakeval.errors import EvaluationError
from snakeval.shell import Bounded, TooMuchError, fill, render

ENDLESS = [
    "{{ range(10**9)|list }}",
    "{{ range(99999999) }}",
    "{{ 'x' * 10**10 }}",
    "{{ 10**10 * 'x' }}",
    "{{ [1] * 10**10 }}",
    "{{ 10 ** (10 ** 9) }}",
    "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(99) }}",
    "{% set s = namespace(t='xx') %}{% for i in range(99) %}{% set s.t = s.t + s.t %}{% endfor %}",
    "{% set s = namespace(n=7) %}{% for i in range(99) %}{% set s.n = s.n * s.n %}{% endfor %}",
    "{{ 'x'|center(10**10) }}",
    "{{ 'x'|indent(width=10**10, first=true) }}",
    "{{ 'x'.ljust(10**10) }}",
    "{{ '%9999999999d' % 1 }}",
    "{{ '%*d' % (10**10, 1) }}",
    "{{ '{:>9999999999}'.format(1) }}",
    "{{ lipsum(n=10**7) }}",
    "{% for a in range(9999) %}{{ 'x' * 999 }}{% endfor %}",
]


@pytest.mark.parametrize("template", ENDLESS)
def test_a_template_without_an_end_is_an_error_of_one_sentence(template: str) -> None:
    with pytest.raises(EvaluationError, match=r"^`command` is not a valid template: .+; corr") as e:
        render(template, {})
    assert len(str(e.value)) < 150
    with pytest.raises(EvaluationError, match=r"^HOST is not a valid template: .+; correct it$"):
        fill(template, {}, "HOST")


@pytest.mark.parametrize(
    "template",
    [
        "a {{ name }}{% for k, v in options.items() %} --{{ k }}={{ v * 2 }}{% endfor %}",
        "{% for o in range(3) recursive %}{{ loop.index }}/{{ loop.length }}{{ loop.last }}"
        "{% else %}none{% endfor %}",
        "{% for o in items if o > 1 %}{{ loop.cycle('a', 'b') }}{{ loop.changed(o) }}{% endfor %}",
        "{{ items|map('string')|join(',') }} {{ '%05.1f' % 2.5 }} {{ '{:>8}'.format(name) }}",
        "{{ [1, 2] + items }} {{ 2 ** 10 }} {{ 7 % 4 }} {{ 'a' ~ 'b' }} {{ name|upper|center(9) }}",
        "{% macro m(a, b=2) %}{{ a }}-{{ b }}{% endmacro %}{{ m(1) }}{{ m(b=3, a=4) }}",
        "{{ dict(seed=1234567).seed }} {{ 4000000000 }} {{ name|default('x') }}",
    ],
)
def test_other_templates_have_the_text_of_jinja2(template: str) -> None:
    values = {"name": "it's", "options": {"a": 1, "b": "c"}, "items": [1, 2, 3]}
    plain = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(template)
    assert Bounded().rendered(template, values) == plain.render(values)


@settings(max_examples=25)
@given(st.text(max_size=30), st.integers(-9, 99_999))
def test_a_text_times_a_count_is_a_text_or_too_much(text: str, times: int) -> None:
    try:
        assert Bounded().rendered("{{ t * n }}", {"t": text, "n": times}) == text * times
    except TooMuchError:
        assert len(text) * times > 100_000
