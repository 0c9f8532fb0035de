"""Jobs that an executor does not take: its words are the reason everywhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.command import says, snakeval, workspace
from support.scheduler import START, profile
from support.served import Served
from support.workspace import Workspace

WORDS = "qsub: error: no such queue, and the account eval-group has expired"
SUBMIT = """\
[ -e {place}/open ] || {{ echo "{words}"; echo "  a detail"; exit 1; }}
"""


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """The profile of a scheduler that takes jobs as soon as there is a file `open`."""
    submit = SUBMIT.format(place=tmp_path, words=WORDS) + START
    return profile(tmp_path, submit, retries=1)


def reasons_of(work: Workspace) -> dict[str, str]:
    found = json.loads(snakeval(work, "status", "--json").stdout)
    states = {s["model"] + "/" + s["benchmark"]: s for s in found[0]["evaluations"]}
    assert {state["state"] for state in states.values()} == {"failed"}
    return {name: state["reason"] for name, state in states.items()}


def test_the_words_of_the_executor_are_everywhere_until_it_takes_the_job(
    tmp_path: Path, closed: Path
) -> None:
    work = workspace(tmp_path, a=says(1), b=says(2))
    refused = snakeval(work, "run", "--config", "config.yaml", "--profile", str(closed))
    assert refused.returncode == 1
    reason = f"Error submitting jobscript (exit code 1): {WORDS}"
    assert reasons_of(work) == {"m/a": reason, "m/b": reason}
    for name in "ab":
        assert f"evaluate  m/{name}  FAILED: {reason}" in refused.stderr
        assert refused.stderr.count(f"evaluate  m/{name}  FAILED again") == 1
        assert work.table()["status"][f"m/{name}"] == "failed"
        assert work.table()["reason"][f"m/{name}"] == reason
    assert WORDS in snakeval(work, "logs", f"{work.run.name}/m/a").stderr
    assert (work.run / "results.md").read_text().count(WORDS) == 2
    assert WORDS in (work.run / "report.html").read_text()
    assert "a detail" not in refused.stderr
    (tmp_path / "open").touch()
    taken = snakeval(work, "run", "--config", "config.yaml", "--profile", str(closed))
    assert taken.returncode == 0, taken.stderr
    assert set(work.table()["status"]) == {"done"}


def test_each_member_of_a_group_has_the_reason(tmp_path: Path, closed: Path) -> None:
    made = Served(tmp_path, "process", "careful")
    made.asks("a", seed=1)
    made.asks("b", seed=2)
    done = made.work.snakemake("--profile", str(closed))
    assert done.exit_code == 1
    reason = f"Error submitting jobscript (exit code 1): {WORDS}"
    assert dict(made.work.table()["reason"]) == {"careful/a": reason, "careful/b": reason}
    assert f"deploy  careful  FAILED: {reason}" in done.output
    assert reasons_of(made.work) == {"careful/a": reason, "careful/b": reason}
    failure = json.loads((made.work.run / "careful/deployment/failure.json").read_text())
    assert failure["reason"] == reason
