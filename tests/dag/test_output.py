"""What people see of a plan and of a run: one line an evaluation."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.configs import COMMAND, MODEL
from support.workspace import Workspace

GOOD = COMMAND | {"command": "echo '{\"v\": 1}' > {{ results }}/f"}


@pytest.fixture
def work(tmp_path: Path) -> Workspace:
    return Workspace.below(
        tmp_path,
        models={"one": MODEL, "two": MODEL},
        benchmarks={"good": GOOD, "hellaswag": {"task": "lm-eval.hellaswag"}},
    )


def lines(work: Workspace, *options: str) -> list[str]:
    done = work.snakemake(*options)
    assert done.exit_code == 0, done.output
    return [line for line in done.output.splitlines() if not line.startswith("Using profiles ")]


def test_a_dry_run_lists_what_would_run_and_what_is_left_out_and_why(work: Workspace) -> None:
    run, *rest = lines(work, "-n")
    assert run.startswith("Run ")
    assert "(new): 2 evaluations in results/" in run
    assert sorted(rest) == [
        "Left out: benchmark hellaswag needs a completions endpoint, model one has a chat endpoint",
        "Left out: benchmark hellaswag needs a completions endpoint, model two has a chat endpoint",
        "To do: 2 evaluate, 1 table",
        "evaluate  one/good  (missing output files)",
        "evaluate  two/good  (missing output files)",
        "table  (missing output files; input files updated by another job)",
    ]


def test_a_run_counts_its_evaluations_and_ends_with_the_table(work: Workspace) -> None:
    seen = lines(work)
    assert [line.rpartition("done, ")[2] for line in seen if "done, " in line] == [
        "1 of 2",
        "2 of 2",
    ]
    assert sum(line.startswith("| one     | good        | v        | 1.0000") for line in seen) == 1
    assert sum(line.startswith("| one     | hellaswag   |") for line in seen) == 1
    assert "skipped: benchmark hellaswag needs" in "\n".join(seen)
    again = lines(work)
    assert again[-1] == "Nothing to be done (all requested files are present and up to date)."


def test_a_changed_definition_is_said_with_what_changed(work: Workspace) -> None:
    lines(work)
    work.config["benchmarks"]["good"] = GOOD | {"params": {"temperature": 0.5}}
    planned = lines(work, "-n")
    assert "Changed: one/good (params.temperature: None → 0.5)" in planned


def test_quiet_is_quiet(work: Workspace) -> None:
    assert not [line for line in lines(work, "-n", "-q", "all") if "evaluate" in line]


def test_shell_commands_are_printed_on_request(work: Workspace) -> None:
    assert any("python -m snakeval.evaluate" in line for line in lines(work, "-n", "-p"))
