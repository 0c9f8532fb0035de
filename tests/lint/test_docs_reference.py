"""The generated pages of the docs are those of the code, and the schema fits the examples."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hooks import reference, schema
from jsonschema import Draft202012Validator

ROOT = Path(__file__).parents[2]
#: Configurations of snakeval; the others of the folder are the launcher's.
EXAMPLES = [
    path
    for path in [ROOT / "config/config.yaml", *sorted((ROOT / "config/examples").glob("*.yaml"))]
    if "benchmarks" in (yaml.safe_load(path.read_text(encoding="utf-8")) or {})
]


@pytest.mark.parametrize("name", reference.PAGES)
def test_a_generated_page_equals_the_code(name: str) -> None:
    page = (reference.DOCS / name).read_text(encoding="utf-8")
    assert page == reference.PAGES[name](), "run `make reference`"


def test_the_schema_knows_each_validator_that_sees_raw_values() -> None:
    assert schema.unknown_validators() == [], "add it to ACCEPTED or NARROWING"


def test_the_schema_accepts_the_examples() -> None:
    assert len(EXAMPLES) > 10
    validator = Draft202012Validator(schema.schema())
    found = {p.name: [*validator.iter_errors(yaml.safe_load(p.read_text()))] for p in EXAMPLES}
    assert {name: errors for name, errors in found.items() if errors} == {}


@pytest.mark.parametrize(
    ("key", "value", "is_valid"),
    [
        ("budget", {"wall": "4h"}, True),
        ("budget", {"wall": 30, "tokens": "1e6"}, True),
        ("budget", {"money": 0}, False),
        ("ledger", True, True),
        ("ledger", "always", False),
        ("health", {"cut": {"warn": "1 %", "fail": None}, "html": "fail"}, True),
        ("health", {"cut": {"error": 1}}, False),
        ("include", ["a/b", {"model": "a"}], True),
        ("export", {"wandb": None}, True),
        ("execution", {"slurm": {"walltime": "04:00:00", "extra_flags": ["--x"]}}, True),
        ("execution", {"slurm": {"walltime": "long"}}, False),
        ("params", {"limit_samples": 0}, False),
        ("no_key", 1, False),
    ],
)
def test_the_schema_accepts_what_snakeval_accepts(key: str, value: object, is_valid: bool) -> None:
    whole = {
        "models": {"a": {"endpoint": {"url": "http://host/v1", "model_id": "a"}}},
        "benchmarks": ["b"],
        key: value,
    }
    assert Draft202012Validator(schema.schema()).is_valid(whole) is is_valid
