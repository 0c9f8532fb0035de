"""Numbers and texts of a configuration that is read, printed, saved and read again."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest
import yaml

from snakeval.config import yaml_file
from snakeval.config.compose import save, text
from snakeval.config.load import load, load_saved
from snakeval.errors import ConfigError
from snakeval.ledger.plain_text import visible
from support.configs import write

EXPONENTS = """
models: {1e3: {endpoint: {url: 'http://h/v1', model_id: 2e237893}}}
benchmarks:
  b:
    harness: generic
    command: "true"
    metrics: {file: f, values: {v: v}}
    params: {temperature: 1e-1, extra: {list: [{a: VALUE}]}}
"""


@pytest.mark.parametrize(
    ("written", "value"),
    [("1.5", 1.5), ("1.0e-05", 1e-5), ("'1e-1'", "1e-1"), ("1e5x", "1e5x"), ("1e", "1e")],
)
def test_numbers_and_texts_keep_their_type_when_saved(
    tmp_path: Path, written: str, value: float | str
) -> None:
    config, _, _ = load([write(tmp_path, EXPONENTS.replace("VALUE", written))])
    params = config.benchmarks["b"].params
    assert (params.temperature, params.extra) == (0.1, {"list": [{"a": value}]})
    again, _, _ = load([save(config)])
    assert again == config
    assert again.models["1e3"].endpoint.model_id == "2e237893"


@pytest.mark.parametrize(
    "hidden",
    ["a\u202egnp.exe", "\u200b", "\ufeffa", "a\tb\x1b[31m", "é\u2066 " * 50, "a\u2028\n b"],
)
def test_a_configuration_that_is_printed_shows_hidden_characters(
    tmp_path: Path, hidden: str
) -> None:
    texts = {"list": [hidden], "map": {hidden: "é😀"}}
    content = EXPONENTS.replace(
        "VALUE", yaml.safe_dump(texts, default_flow_style=True, width=10**6)
    )
    config, _, _ = load([write(tmp_path, content)])
    assert config.benchmarks["b"].params.extra == {"list": [{"a": texts}]}
    printed = text(config)
    assert visible(printed) == printed
    assert "\\" in printed
    again, _, _ = load([save(config)])
    assert again == config


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1e-1", "0.1"),
        ("2E3", "2000.0"),
        ("2.5e3", "2500.0"),
        ("1e-5", "1.0e-05"),
        ("1e999", "a finite number"),
    ],
)
def test_a_text_that_yaml_1_2_reads_as_a_number_is_reported(
    tmp_path: Path, written: str, number: str
) -> None:
    file = write(tmp_path, EXPONENTS.replace("VALUE", written))
    with pytest.raises(ConfigError) as raised:
        load([file])
    expected = f"{file}, line 8, column 52: {written} is a text in YAML 1.1; write {number}"
    assert str(raised.value).startswith(expected)
    assert f"'{written}' for the text" in str(raised.value)


def test_a_file_that_an_earlier_version_saved_keeps_its_texts(tmp_path: Path) -> None:
    """Its finished evaluations have the text in their definitions."""
    file = write(tmp_path, EXPONENTS.replace("VALUE", "1e-1"))
    config, _ = load_saved(file, {})
    assert config.benchmarks["b"].params.extra == {"list": [{"a": "1e-1"}]}


@pytest.mark.parametrize(
    "text",
    [
        "a: [1, 1.5, 4:00:00, 1e3, 0x10, 0o17, yes, ~, 2026-11-30, .inf, 1_000]",
        "a: &x {b: c, 'd': \"\\u00e9\"}\nb: {<<: *x, b: 2}\nc: |\n  two\n  lines\nd: >-\n  x\n  y",
        "\ufeffa: '\U0001f40d' # a comment\n",
        "a: {x: 1, x: 2}",
        "a: \tb\n\tc: d",
        "a: *nowhere",
        "a: !!timestamp foo",
        "a: !unknown b",
        "a: &a [*a]",
        "a: \x01",
        "a: 1\n---\nb: 2\n",
        "a: '",
    ],
)
def test_the_parser_in_c_reads_as_the_one_in_python(text: str, tmp_path: Path) -> None:
    """The one in Python has the words and the place of an error; the one in C the speed."""
    file = tmp_path / "c.yaml"
    file.write_text(text)

    def found(loader: type) -> object:
        with mock.patch.object(yaml_file, "_QuickLoader", loader):
            try:
                return yaml_file.read(file)
            except ConfigError as error:
                return str(error)

    assert found(yaml_file._QuickLoader) == found(yaml_file.Loader)


def test_yaml_is_read_by_the_parser_in_c() -> None:
    assert issubclass(yaml_file._QuickLoader, yaml.CSafeLoader)
