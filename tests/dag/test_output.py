"""The output of a plan and of a run: a line for each evaluation, or progress on a terminal."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from support.configs import COMMAND, MODEL
from support.screen import Screen
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


def test_a_dry_run_lists_jobs_and_pairs_that_are_left_out_with_reasons(work: Workspace) -> None:
    run, *rest = lines(work, "-n")
    assert run.startswith("Run ")
    assert "(new): 2 evaluations in results/" in run
    assert sorted(rest) == [
        "Left out: benchmark hellaswag needs a completions endpoint, model one has a chat endpoint",
        "Left out: benchmark hellaswag needs a completions endpoint, model two has a chat endpoint",
        "To do: 2 evaluate, 1 table, 1 report",
        "evaluate  one/good",
        "evaluate  two/good",
        "report",
        "table",
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
    assert again[-1] == "Nothing to be done: all evaluations are done"
    assert [line for line in again if "|" in line] == [line for line in seen if "|" in line]


def test_a_changed_definition_is_listed_with_its_changes(work: Workspace) -> None:
    lines(work)
    work.config["benchmarks"]["good"] = GOOD | {"params": {"temperature": 0.5}}
    planned = lines(work, "-n")
    assert "Changed: one/good (params.temperature: None → 0.5)" in planned


def test_quiet_is_quiet(work: Workspace) -> None:
    assert not [line for line in lines(work, "-n", "-q", "all") if "evaluate" in line]


def test_shell_commands_are_printed_on_request(work: Workspace) -> None:
    assert any("python -m snakeval.jobs.evaluate" in line for line in lines(work, "-n", "-p"))


# --- on a terminal ----------------------------------------------------------------------------

#: Asks so many questions with a bar, as harnesses do, until the file `go` says that it may end.
ASKING = """\
python3 -u - {{ results }} GO <<'PYTHON'
import json, pathlib, sys, time
for number in range(8):
    print(f"\\rRequesting API: {number}%|##  | {number}/40 [00:00<00:00, 4.20it/s]", end="")
    time.sleep(0.05)
while not pathlib.Path(sys.argv[2]).exists():
    time.sleep(0.05)
json.dump({"v": 1}, open(f"{sys.argv[1]}/f", "w"))
PYTHON
"""


@pytest.fixture
def show(tmp_path: Path) -> Workspace:
    asking = ASKING.replace("GO", shlex.quote(str(tmp_path / "work" / "go")))
    return Workspace.below(
        tmp_path,
        models={"one": MODEL, "two": MODEL},
        benchmarks={
            "asking": COMMAND | {"command": asking},
            "broken": COMMAND | {"command": "echo 'no such data set' >&2; exit 3"},
        },
    )


def on_a_terminal(work: Workspace, *options: str, **variables: str) -> Screen:
    environment = {**os.environ, "TERM": "xterm-256color"} | variables
    environment.pop("NO_COLOR", None)
    return Screen(
        work.command(*options),
        cwd=work.directory,
        env={**environment, "SNAKEVAL_HOME": str(work.home)},
        size=(100, 30),
    )


def test_a_terminal_shows_bars_requests_and_reasons_and_ends_with_the_table(
    show: Workspace,
) -> None:
    screen = on_a_terminal(show, "--cores", "4")
    seen = screen.until(
        lambda text: (
            text.count("7/40 requests") == 2
            and ", 2 failed" in text
            and text.count("/broken failed: ") == 2
        )
    )
    assert "0 of 4 evaluations done, 2 failed, 2 running" in seen
    assert re.search(r"^one  ╳+─+  0/2  1 failed$", seen, re.MULTILINE)
    assert re.search(r"^  two/asking +\d:\d\d  7/40 requests", seen, re.MULTILINE)
    log = r"results/\S+/two/broken/logs/harness\.log"
    assert re.search(
        rf"^two/broken failed: .*no such data set.* \[log: {log}\]$", seen, re.MULTILINE
    )
    (show.directory / "go").touch()
    assert screen.end() == 1
    # Nothing of the display is left in the table or behind it.
    assert "running" not in screen.text
    assert "━" not in screen.text
    assert re.search(r"^\| one +\| asking +\| v +\| 1.0000 ", screen.text, re.MULTILINE)
    assert screen.text.count("two/broken failed") == 1
    assert "2 of 4 evaluations are not done" in screen.text


def test_ctrl_c_leaves_the_table_and_a_clean_terminal(show: Workspace) -> None:
    del show.config["benchmarks"]["broken"]
    screen = on_a_terminal(show)
    screen.until(lambda text: "7/40 requests" in text)
    screen.interrupt()
    assert screen.end() != 0
    assert "2 of 2 evaluations are not done" in screen.text
    assert "requests" not in screen.text
    assert "failed" not in screen.text


@pytest.mark.parametrize(
    ("options", "variables"), [(["-q", "all"], {}), ([], {"TERM": "dumb"}), (["-n"], {})]
)
def test_quiet_runs_dumb_terminals_and_plans_get_plain_lines(
    work: Workspace, options: list[str], variables: dict[str, str]
) -> None:
    screen = on_a_terminal(work, *options, **variables)
    assert screen.end() == 0
    assert screen.codes == set()


def test_the_log_of_snakemake_stays_complete(work: Workspace) -> None:
    screen = on_a_terminal(work)
    assert screen.end() == 0
    (log,) = (work.directory / ".snakemake" / "log").glob("*.log")
    text = log.read_text()
    assert text.count("rule evaluate:") == 2
    assert "5 of 5 steps (100%) done" in text
