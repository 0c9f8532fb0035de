"""Canonical JSON and the fingerprint that is made of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snakeval.evaluation.definition import (
    Evaluation,
    Identity,
    Transport,
    canonical_json,
    changes,
    fingerprint_of,
    reading_of,
)
from snakeval.files import sealed
from support.limits import HUNG

IDENTITY = Identity(
    harness="h", adapter="generic", image="i", task="t", model_id="m", endpoint_url="u",
    endpoint_type="chat", params={"temperature": 0.0, "extra": {"a": [1]}},
)  # fmt: skip
#: Of the identity in format 2. If it changes, every finished evaluation is stale: raise
#: IDENTITY_FORMAT, let records of this format count, and only then correct it here.
FINGERPRINT = "ec91d17d66cbf38cb78ae098662eabe3a6db08de8b04d1737c51edf58d47ee45"
#: Of the identity in format 1, as commit 0bdcd8f recorded it. It must never change.
OLDER = "8d74d7cc74f35bedaece3fa1f5245f05f9ae48614731ff9b5daad32b936efb94"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)  # fmt: skip
MAPPINGS = st.dictionaries(st.text(), JSON)
TRANSPORTS = st.builds(
    Transport,
    parallelism=st.integers(1), request_timeout=st.integers(1), max_retries=st.integers(0),
    api_key_name=st.text(), env=st.dictionaries(st.text(), st.text()), files=st.text(),
    mounts=st.lists(st.tuples(st.text(), st.text(), st.booleans())).map(tuple),
    runtime=st.sampled_from(["auto", "docker"]), network=st.sampled_from(["host", "bridge"]),
    resources=st.dictionaries(st.text(), st.none() | st.integers()),
    servers=st.lists(st.text()).map(tuple), auxiliary_keys=st.dictionaries(st.text(), st.text()),
    heartbeat=st.floats(0.1, 3600), stale=st.floats(1, 86400),
)  # fmt: skip


@settings(max_examples=50)
@given(MAPPINGS)
def test_the_order_of_keys_does_not_matter_and_nothing_is_lost(value: dict[str, Any]) -> None:
    text = canonical_json(value)
    assert text.isascii()
    assert json.loads(text) == value
    assert canonical_json(dict(reversed(value.items()))) == text


def test_a_value_that_json_does_not_have_fails() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"a": float("nan")})


@settings(max_examples=50)
@given(MAPPINGS, MAPPINGS)
def test_params_have_one_fingerprint_exactly_if_they_are_the_same(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    def written(params: dict[str, Any]) -> str:
        return canonical_json({k: v for k, v in params.items() if v is not None and v != {}})

    same = written(one) == written(other)
    fingerprints = {replace(IDENTITY, params=params).fingerprint for params in (one, other)}
    assert len(fingerprints) == (1 if same else 2)


@settings(max_examples=50)
@given(TRANSPORTS)
def test_no_transport_changes_a_fingerprint_and_any_survives_the_way_to_the_job(
    transport: Transport,
) -> None:
    sent = Evaluation("m", "b", IDENTITY, transport, {"temperature": "run"})
    received = Evaluation.from_json(sent.to_json())
    assert received == sent
    assert sent.fingerprint == received.fingerprint == IDENTITY.fingerprint


def test_a_fingerprint_is_the_same_in_every_process_and_every_release() -> None:
    code = (
        "from snakeval.evaluation.definition import fingerprint_of; import json, sys;"
        "print(fingerprint_of(json.load(sys.stdin)))"
    )
    for identity, fingerprint in (
        (IDENTITY.as_dict(), FINGERPRINT),
        (replace(IDENTITY, format=1).as_dict(), OLDER),
    ):
        for seed in ("1", "2"):
            done = subprocess.run(
                [sys.executable, "-c", code],
                input=json.dumps(identity),
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True, text=True, check=True, timeout=HUNG,
            )  # fmt: skip
            assert done.stdout.strip() == fingerprint
    made = Evaluation("m", "b", IDENTITY, Transport())
    assert (made.fingerprint, made.older) == (FINGERPRINT, (OLDER,))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"prompt": "a"}, {"prompt": "b"}, ["prompt: 'a' → 'b'"]),
        ({"prompt": f"{'a' * 50}b"}, {"prompt": f"{'a' * 50}c"}, ["prompt changed"]),
        ({"files_digest": "12"}, {"files_digest": "34"}, ["files changed"]),
        ({"files_digest": ""}, {"files_digest": "34"}, ["files_digest: '' → '34'"]),
        ({"prompt": "a"}, {"prompt": "a"}, []),
    ],
)
def test_a_change_is_reported_in_words_if_its_values_say_nothing(
    before: dict[str, str], after: dict[str, str], said: list[str]
) -> None:
    assert changes(before, after) == said


def test_later_additions_to_an_identity_change_a_fingerprint_only_if_they_have_a_value() -> None:
    identity = IDENTITY.as_dict()
    assert fingerprint_of({**identity, "later": ""}) == FINGERPRINT
    assert fingerprint_of({**identity, "later": "1"}) != FINGERPRINT
    for name in ("deployment", "auxiliary"):
        assert name not in replace(IDENTITY, format=1).as_dict()
        other = replace(IDENTITY, **{name: {"judge": {"model_id": "j"}}})
        assert other.fingerprint != FINGERPRINT
        sent = Evaluation("m", "b", other, Transport())
        assert Evaluation.from_json(sent.to_json()) == sent


def test_a_null_that_a_template_looks_for_is_no_default() -> None:
    plain = replace(IDENTITY, command="run {{ params.seed is defined }}")
    assert (
        replace(plain, params={**IDENTITY.params, "top_p": None}).fingerprint == plain.fingerprint
    )
    assert replace(plain, params={**IDENTITY.params, "seed": None}).fingerprint != plain.fingerprint


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("run {{x}}", "run {{ x }}\n", True),
        ("run {{ x | raw }}", "run {{x|raw}}", True),
        ("run {{ x }}", "run  {{ x }}", False),
        ("run {{ -1 }}", "run {{-1 }}", False),
        ("{% raw %}{{x}}{% endraw %}", "{% raw %}{{ x }}{% endraw %}", False),
        ("{{ '{{x}}' }}", "{{ '{{ x }}' }}", False),
    ],
)
def test_blanks_within_tags_of_a_command_change_no_fingerprint(
    one: str, other: str, same: bool
) -> None:
    made = {replace(IDENTITY, command=command).fingerprint for command in (one, other)}
    assert (len(made) == 1) is same


def test_where_metrics_are_read_has_a_digest_of_its_own() -> None:
    before, after = (
        Evaluation("m", "b", replace(IDENTITY, metrics={"file": name}), Transport())
        for name in ("a.json", "b.json")
    )
    assert before.fingerprint == after.fingerprint
    assert before.reading != after.reading
    assert reading_of(json.loads(after.to_json())["identity"]) == after.reading
    assert before.older != after.older


def test_an_evaluation_of_format_1_keeps_its_fingerprint_on_the_way_to_the_job() -> None:
    sent = Evaluation("m", "b", IDENTITY, Transport()).in_format_1
    received = Evaluation.from_json(sent.to_json())
    assert received == sent
    assert (received.fingerprint, received.older) == (OLDER, ())
    assert json.loads(sent.to_json())["identity"].keys() == {
        "format", "harness", "adapter", "image", "task", "model_id", "endpoint_url",
        "endpoint_type", "params", "files_digest", "packages", "command", "metrics",
    }  # fmt: skip


def test_an_identity_of_an_unknown_format_fails() -> None:
    data = json.loads(Evaluation("m", "b", IDENTITY, Transport()).to_json())
    data["identity"]["format"] = 99
    with pytest.raises(ValueError, match="identity format 99, this snakeval reads up to 2"):
        Evaluation.from_json(sealed(data))
