"""A run that commit 0bdcd8f left: today's commands read it, resume it and repeat nothing finished.

`tests/data/README.md` describes the run. Commit 0bdcd8f worked in `/srv/snakeval`. A test copies
the run to another path: either with every mention of the old path rewritten, as if the run had been
made there, or as it is, as if somebody had moved it.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from support.command import snakeval
from support.workspace import REPOSITORY, Workspace

DATA = REPOSITORY / "tests" / "data" / "run_of_0bdcd8f"
MADE_IN = b"/srv/snakeval"
(NAME,) = (path.name for path in (DATA / "results").iterdir())
ID = NAME[-8:]
FINISHED = ("first/quiz", "second/quiz", "served/asked")
STATES = dict.fromkeys(FINISHED, "done") | {"first/flaky": "failed", "first/slow": "interrupted"}
RUN = ("run", "--config", "evaluation.yaml")


class OldRun:
    """A copy of the run, and the commands that a person gives there."""

    def __init__(self, directory: Path, state: Path) -> None:
        self.work = Workspace(directory, directory / "home")
        self.path = directory / "results" / NAME
        self.state = state

    def says(self, *words: str, fails: bool = False) -> Any:
        """Run a command that prints JSON; return what it printed."""
        done = snakeval(self.work, *words)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == int(fails), done.stdout + done.stderr
        return json.loads(done.stdout)

    def starts(self, *words: str) -> None:
        done = snakeval(self.work, *words)
        assert done.returncode == 0, done.stdout + done.stderr

    @property
    def states(self) -> dict[str, str]:
        (view,) = self.says("status", "--json", ID)
        return {f"{e['model']}/{e['benchmark']}": e["state"] for e in view["evaluations"]}

    @property
    def results(self) -> dict[str, dict[str, Any]]:
        """The rows of the results by evaluation and metric."""
        rows = self.says("results", "--format", "json", ID)
        return {f"{r['model']}/{r['benchmark']} {r['metric'] or '-'}": r for r in rows}

    @property
    def files(self) -> dict[Path, bytes]:
        """Each file of the run with its content."""
        return {path: path.read_bytes() for path in self.path.rglob("*") if path.is_file()}

    @property
    def executed(self) -> list[str]:
        """What the harness executed since the copy was made."""
        file = self.state / "executions"
        return sorted(file.read_text().splitlines()) if file.exists() else []

    def record(self, evaluation: str) -> dict[str, Any]:
        content: dict[str, Any] = json.loads(
            (self.path / evaluation / "evaluation.json").read_text()
        )
        return content


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the harness looks at: `flaky` is mended, and `slow` may end."""
    state = tmp_path / "state"
    state.mkdir()
    for name in ("mended", "go"):
        (state / name).touch()
    monkeypatch.setenv("STATE_DIR", str(state))
    return state


@pytest.fixture
def moved(tmp_path: Path, state: Path) -> OldRun:
    """The run as it is, at another path than it was made at."""
    return OldRun(shutil.copytree(DATA, tmp_path / "moved", symlinks=True), state)


@pytest.fixture
def old(tmp_path: Path, state: Path) -> OldRun:
    """The run as commit 0bdcd8f would have left it in this directory."""
    copy = shutil.copytree(DATA, tmp_path / "copy", symlinks=True)
    for path in copy.rglob("*"):
        if path.is_file() and not path.is_symlink() and MADE_IN in (content := path.read_bytes()):
            assert "artifacts" not in path.parts, "a finished result would change"
            path.write_bytes(content.replace(MADE_IN, str(copy).encode()))
    return OldRun(copy, state)


def test_the_commands_that_look_read_it_before_anything_resumes_it(old: OldRun) -> None:
    before = old.files
    (entry,) = old.says("ls", "runs", "--json")
    assert (entry["id"], entry["directory"]) == (ID, str(old.path))
    assert old.states == STATES
    results = old.results
    assert results["first/flaky -"]["status"] == "failed"
    assert "the judge of this benchmark does not answer" in results["first/flaky -"]["reason"]
    assert results["first/slow -"]["status"] == "pending"
    assert (
        results["second/quiz accuracy"]["value"] == old.record("second/quiz")["metrics"][0]["value"]
    )
    assert old.says("verify", "--json", ID) == []
    assert old.files == before
    assert not old.executed


def test_the_same_command_runs_only_the_evaluations_that_are_not_finished(old: OldRun) -> None:
    finished = {name: (old.path / name / "evaluation.json").read_bytes() for name in FINISHED}
    old.starts(*RUN)
    assert old.work.run == old.path, "a second run was made"
    assert old.executed == ["flaky example/first", "slow example/first"]
    for name, record in finished.items():
        assert (old.path / name / "evaluation.json").read_bytes() == record
    assert not (old.path / "served/deployment/server-2.log").exists(), "the model was served again"
    assert old.record("first/flaky")["attempt"] == 3
    assert old.record("first/slow")["attempt"] == 2

    assert set(old.states.values()) == {"done"}
    results = old.results
    assert {row["status"] for row in results.values()} == {"done"}
    # Caches of harnesses that earlier versions interrupted are not used any more.
    assert results["first/slow resumed_at"]["value"] == 0
    assert json.loads((old.path / "results.json").read_text()) == list(results.values())
    exported = json.loads((old.path / "export/results.json").read_text())
    assert exported["complete"], exported
    assert old.says("verify", "--json", ID) == []

    again = old.work.snakemake("--configfile", "evaluation.yaml")
    assert "nothing to be done" in again.output.lower(), again.output
    assert len(old.executed) == 2
    reported(old)
    compared(old)


def reported(old: OldRun) -> None:
    page = old.path / "report.html"
    page.unlink()
    old.starts("report", ID)
    assert "example/first" in page.read_text(encoding="utf-8")


def compared(old: OldRun) -> None:
    first, second = (right(old.path / model / "quiz") for model in ("first", "second"))
    rows = old.says("compare", f"{ID}/first", f"{ID}/second", "--format", "json")
    (row,) = (row for row in rows if row["benchmark"] == "quiz")
    assert [row[key] for key in ("metric", "n")] == ["accuracy", 30]
    assert row["baseline"] == sum(first.values()) / 30
    assert row["candidate"] == sum(second.values()) / 30
    assert set(row["samples_better"]) == {i for i in first if second[i] > first[i]}
    assert set(row["samples_worse"]) == {i for i in first if second[i] < first[i]}


def right(evaluation: Path) -> dict[str, bool]:
    """Which samples of an evaluation are right, as its harness wrote it."""
    lines = (evaluation / "artifacts/samples.jsonl").read_text().splitlines()
    return {sample["id"]: sample["right"] for sample in map(json.loads, lines)}


def test_verify_sees_what_was_changed_after_the_fact(old: OldRun) -> None:
    with (old.path / "second/quiz/artifacts/samples.jsonl").open("a") as file:
        file.write("{}\n")
    (finding,) = old.says("verify", "--json", ID, fails=True)
    assert finding["where"] == "second/quiz"


def test_a_moved_run_takes_the_result_of_an_earlier_definition_back_from_its_attempts(
    moved: OldRun,
) -> None:
    (archived,) = moved.path.glob("first/quiz/attempts/1/completion-*.json")
    earlier = json.loads(archived.read_text())
    config = moved.work.directory / "evaluation.yaml"
    config.write_text(config.read_text().replace("level: 2", "level: 1"))
    done = moved.work.snakemake(
        "--configfile", "evaluation.yaml", "--config", "models=first", "benchmarks=quiz"
    )
    assert done.exit_code == 0, done.output
    assert moved.work.run == moved.path, "a second run was made"
    assert moved.record("first/quiz") == earlier
    assert moved.executed == []
    # By its id: the index holds the new place.
    assert moved.states == STATES | {"second/quiz": "pending"}
