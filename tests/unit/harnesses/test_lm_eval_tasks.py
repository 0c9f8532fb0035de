"""Which tasks lm-evaluation-harness lacks, by its files and then by its index."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from snakeval.harnesses import lm_eval_tasks


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A harness with the tasks ``sums`` and ``sums_hard``, and a tag that only its index knows."""
    tasks = tmp_path / "lm_eval" / "tasks" / "sums"
    tasks.mkdir(parents=True)
    (tasks / "sums.yaml").write_text("task: sums\ndoc_to_text: !function utils.text\n")
    (tasks / "hard.yml").write_text("include: sums.yaml\ntask: 'sums_hard'  # harder\n")

    class Manager:
        def __init__(self, include_path: str | None) -> None:
            asked.append(include_path)

        def match_tasks(self, names: list[str]) -> list[str]:
            return [name for name in names if name in ("sums_*", "arithmetic")]

    asked: list[str | None] = []
    module = SimpleNamespace(TaskManager=Manager, asked=asked)
    monkeypatch.setitem(sys.modules, "lm_eval.tasks", module)  # type: ignore[arg-type]
    return tmp_path / "lm_eval"


def test_names_in_files_need_no_index(harness: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "mine.yaml").write_text("task: mine\n")
    names = ["sums", "sums_hard", "mine"]
    assert lm_eval_tasks.lacking(str(own), names, [str(harness)]) == {}
    assert sys.modules["lm_eval.tasks"].asked == []


def test_the_index_decides_about_other_names(harness: Path) -> None:
    names = ["sums_*", "arithmetic", "sums_hards", "x"]
    found = lm_eval_tasks.lacking("", names, [str(harness)])
    assert found == {"sums_hards": "sums_hard", "x": ""}
    assert sys.modules["lm_eval.tasks"].asked == [None]


def test_the_program_prints_the_result_after_a_mark(
    harness: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = SimpleNamespace(submodule_search_locations=[str(harness)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    assert lm_eval_tasks.main(["", "sums", "sum"]) == 0
    mark, _, found = capsys.readouterr().out.partition(": ")
    assert (f"{mark}: ", json.loads(found)) == (lm_eval_tasks.MARK, {"sum": "sums"})


def test_the_program_runs_alone_and_says_nothing_without_the_harness() -> None:
    text = Path(lm_eval_tasks.__file__).read_text(encoding="utf-8")
    words = [sys.executable, "-I", "-S", "-c", text, "", "sums"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
