"""Expected durations of evaluations."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from snakeval.evaluation.definition import Evaluation, Identity, Transport
from snakeval.matrix.durations import Durations

EVALUATION = Evaluation(
    "m", "b", Identity("h", "generic", "i", "t", "m", "u", "chat", {}), Transport()
)


def on(model_id: str) -> Evaluation:
    """The same benchmark on another model."""
    return replace(EVALUATION, identity=replace(EVALUATION.identity, model_id=model_id))


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path))
    return tmp_path / "durations.json"


def test_nothing_is_known_at_first() -> None:
    known = Durations.load()
    assert not known
    assert known.expect(EVALUATION) is None


def test_the_next_run_knows_the_durations_of_the_last() -> None:
    known = Durations.load()
    known.learn(EVALUATION, 12.34)
    known.save()
    assert Durations.load().expect(EVALUATION) == 12.3
    assert Durations.load()
    known.learn(EVALUATION, 1)
    assert known.expect(EVALUATION) == 1, "the newest counts"


def test_the_expected_duration_on_a_new_model_is_the_mean_of_others() -> None:
    known = Durations({})
    known.learn(on("a"), 10)
    known.learn(on("b"), 30)
    assert known.expect(on("c")) == 20
    assert known.expect(on("a")) == 10


def test_a_benchmark_is_known_by_its_definition_and_not_by_its_name() -> None:
    known = Durations({})
    known.learn(EVALUATION, 10)
    assert known.expect(replace(EVALUATION, benchmark="renamed")) == 10
    ten = replace(EVALUATION.identity, params={"limit_samples": 10})
    assert known.expect(replace(EVALUATION, identity=ten)) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "1", '{"a": 1}', '{"a": {"m": null}}', '{"a": {"m": "soon"}}']
)
def test_a_damaged_file_counts_as_absent(file: Path, text: str) -> None:
    file.write_text(text)
    assert not Durations.load()
