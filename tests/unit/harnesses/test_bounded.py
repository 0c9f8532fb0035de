"""Files of harnesses that are larger than anyone wants in memory."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.errors import EvaluationError
from snakeval.harnesses import bounded
from snakeval.harnesses.reading import read_metrics
from snakeval.harnesses.several import may_be_equal
from snakeval.matrix.expand import expand
from support.configs import COMMAND, config


def huge(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(5 * 2**30)  # takes no space, and reads as zeros


@pytest.mark.parametrize(
    ("benchmark", "name"),
    [
        ({"task": "lm-eval.ifeval"}, "m/results_2026-01-01T00-00-00.000000.json"),
        ({"task": "lm-evaluation-harness.ifeval"}, "results.yml"),
        (COMMAND | {"metrics": {"file": "r.json", "values": {"v": "v"}}}, "r.json"),
    ],
)
def test_results_of_five_gibibytes_are_a_reason(
    tmp_path: Path, benchmark: dict[str, object], name: str
) -> None:
    models = {"m": {"endpoint": {"url": "http://host/v1", "model_id": "m"}}}
    rows = {"models": models, "benchmarks": {"b": benchmark}}
    (evaluation,) = expand(config(tmp_path, rows))
    huge(tmp_path / "artifacts" / name)
    with pytest.raises(
        EvaluationError, match=r"has 5\.4 GB, and snakeval reads results of at most"
    ):
        read_metrics(evaluation, tmp_path / "artifacts")


def test_results_of_five_gibibytes_have_no_mark(tmp_path: Path) -> None:
    huge(tmp_path / "m/results_2026-01-01T00-00-00.000000.json")
    with pytest.raises(EvaluationError, match=r"5\.4 GB"):
        may_be_equal(tmp_path)


def test_a_line_without_an_end_is_a_reason(tmp_path: Path) -> None:
    file = tmp_path / "s.jsonl"
    file.write_text("ab\nabc\nabcd\n")
    found = bounded.lines(file, most=4)
    assert [next(found), next(found)] == ["ab\n", "abc\n"]
    with pytest.raises(EvaluationError, match=r"s\.jsonl, line 3 has more than 4 characters"):
        next(found)


@pytest.mark.parametrize("text", ["a\nb\n", "a\nb", "\ufeffa\nb\n"])
def test_lines_are_those_of_the_file(tmp_path: Path, text: str) -> None:
    (file := tmp_path / "s.jsonl").write_text(text, encoding="utf-8")
    assert [line.strip() for line in bounded.lines(file)] == ["a", "b"]
