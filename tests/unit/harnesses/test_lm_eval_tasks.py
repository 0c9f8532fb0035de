"""The names of the tasks that the files of lm-evaluation-harness define."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from snakeval.harnesses import lm_eval_tasks
from support.limits import HUNG


@pytest.fixture
def harness(tmp_path: Path) -> Path:
    tasks = tmp_path / "lm_eval" / "tasks" / "sums"
    tasks.mkdir(parents=True)
    (tasks / "sums.yaml").write_text("task: sums\ndoc_to_text: !function utils.text\n")
    (tasks / "hard.yml").write_text('include: _base\n"task": "sums_hard"  # harder: (yes)\n')
    (tasks / "_base").write_text("tag:\n  # all\n\n  - numbers\n- sums_tag\ndataset_path: x\n")
    group = "group: all_sums\ntask:\n  - sums\n  - group: inner\n    task: [part_(a), 'part_b']\n"
    (tasks / "group.yaml").write_text(f"{group}metric: [acc]\n")
    (tasks / "utils.py").write_text("task: no_task\n")
    return tmp_path / "lm_eval"


def test_files_define_tasks_groups_and_tags(harness: Path) -> None:
    assert lm_eval_tasks.defined(str(harness)) == {
        "all_sums", "inner", "numbers", "part_(a)", "part_b", "sums", "sums_hard", "sums_tag",
    }  # fmt: skip


def test_the_program_prints_the_names_after_a_mark(
    harness: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = SimpleNamespace(submodule_search_locations=[str(harness)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    assert lm_eval_tasks.main() == 0
    mark, _, found = capsys.readouterr().out.partition(": ")
    assert f"{mark}: " == lm_eval_tasks.MARK
    assert json.loads(found) == sorted(lm_eval_tasks.defined(str(harness)))


def test_the_program_runs_alone_and_says_nothing_without_the_harness() -> None:
    text = Path(lm_eval_tasks.__file__).read_text(encoding="utf-8")
    words = [sys.executable, "-I", "-S", "-c", text]
    done = subprocess.run(words, capture_output=True, text=True, timeout=HUNG, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
