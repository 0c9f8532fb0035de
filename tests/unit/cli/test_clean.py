"""`snakeval clean` at finished runs: what it asks and prints, and what works afterwards."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from snakeval.demo.server import serve
from snakeval.evaluation import requests
from snakeval.jobs import run_job
from snakeval.lease import Lease
from snakeval.ledger.counts import Counts
from snakeval.results import table
from support.asking import KEY
from support.invocations import invocation
from support.made import Made, snakeval
from support.sampled import Sampled
from support.stored import asking, play

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))


@pytest.fixture
def made(tmp_path: Path) -> Made:
    found = Made(tmp_path, "one", "two")
    folder = found.done("one").requests / "m"
    folder.mkdir(parents=True)
    (folder / "0001.journal").write_bytes(bytes(2500))
    part = Counts().data(0)
    (folder.parent / "summary.json").write_text(json.dumps({"upstreams": {"m": part}}))
    return found


def test_a_dry_run_lists_and_removes_nothing(made: Made, capsys: Capture) -> None:
    said = snakeval(capsys, "clean", str(made.path), "--requests", "-n")
    assert said.exit_code == 0
    assert "m/one       2.5 kB    0 bytes" in said.out
    assert said.out.endswith("2.5 kB of 1 evaluation would become free\n")
    assert said.err.startswith("snakeval: m/two is kept, since it is not finished: ")
    assert (made["one"].requests / "m").is_dir()


def test_without_a_terminal_it_removes_nothing_without_yes(made: Made, capsys: Capture) -> None:
    said = snakeval(capsys, "clean", str(made.path), "--requests")
    assert said.exit_code == 2
    assert "this is no terminal to ask in; add --yes" in said.err
    assert "`snakeval rescore` cannot score these evaluations again" in said.err
    assert (made["one"].requests / "m").is_dir()
    said = snakeval(capsys, "clean", str(made.path), "--requests", "--yes")
    assert (said.exit_code, said.out.splitlines()[-1]) == (0, "2.5 kB of 1 evaluation are free now")
    assert not (made["one"].requests / "m").exists()
    said = snakeval(capsys, "clean", str(made.path), "--requests")
    assert (said.exit_code, said.out) == (0, "Nothing to remove\n")


@pytest.mark.parametrize(("answer", "stays"), [("n\n", True), ("y\n", False)])
def test_it_asks_on_a_terminal(
    made: Made, capsys: Capture, monkeypatch: pytest.MonkeyPatch, answer: str, stays: bool
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    said = snakeval(capsys, "clean", str(made.path), "--requests")
    assert said.exit_code == 0
    assert "Remove them?" in said.err
    assert (made["one"].requests / "m").is_dir() is stays
    assert ("Nothing was removed" in said.out) is stays


class Terminal:
    """A terminal at which a person answers."""

    def __init__(self, answer: str) -> None:
        self._answer = answer

    def isatty(self) -> bool:
        return True

    def readline(self, size: int = -1) -> str:
        return self._answer


def test_programs_get_bytes_and_reasons(made: Made, capsys: Capture) -> None:
    said = snakeval(capsys, "clean", str(made.path), "--requests", "--json")
    assert said.exit_code == 2
    assert "--json asks no question; add --yes or --dry-run" in json.loads(said.out)["problem"]
    for option, is_dry in (("--dry-run", True), ("--yes", False)):
        said = snakeval(capsys, "clean", str(made.path), "--requests", "--json", option)
        assert (said.exit_code, said.err) == (0, "")
        data = json.loads(said.out)
        assert (data["dry_run"], data["bytes"]) == (is_dry, 2500)
        one, two = data["evaluations"]
        nothing = {"attempts": 0, "shared": 0, "failed": False}
        assert one == {"id": "m/one", "requests": 2500, "kept": "", **nothing}
        assert two.pop("kept").startswith("it is not finished: ")
        assert two == {"id": "m/two", "requests": 0, **nothing}
        assert (made["one"].requests / "m").is_dir() is is_dry


def test_an_evaluation_in_use_is_listed(made: Made, capsys: Capture) -> None:
    with Lease(made["one"].lease):
        said = snakeval(capsys, "clean", str(made.path), "--requests", "--yes")
    assert (said.exit_code, said.out) == (1, "Nothing to remove\n")
    assert said.err.startswith("snakeval: m/one is kept, since a job works at it\n")


def test_nothing_chosen_is_an_error(made: Made, capsys: Capture) -> None:
    said = snakeval(capsys, "clean", str(made.path))
    assert said.exit_code == 2
    assert "choose --requests, --failed-attempts or both" in said.err


def test_requests_of_a_cleaned_evaluation_say_why_they_are_gone(
    made: Made, capsys: Capture
) -> None:
    snakeval(capsys, "clean", str(made.path), "--requests", "--yes")
    said = snakeval(capsys, "requests", f"{made.path}/m/one")
    assert said.exit_code == 0
    assert "`snakeval clean` removed it" in said.err


def test_verify_is_content_with_a_cleaned_run(tmp_path: Path, capsys: Capture) -> None:
    run = Sampled(tmp_path, {"m": {"a": [1, 0]}})
    table.write(run.directory)
    (run["m/a"].requests / "m").mkdir(parents=True)
    (run["m/a"].attempts / "7/artifacts").mkdir(parents=True)
    said = snakeval(capsys, "clean", str(run.path), "--requests", "--failed-attempts", "--yes")
    assert said.exit_code == 0
    assert not (run["m/a"].attempts / "7").exists()
    said = snakeval(capsys, "verify", str(run.path))
    assert said.exit_code == 0
    assert said.err == "1 of 1 evaluations are as they were; nothing was changed\n"


def test_a_cleaned_evaluation_is_not_repeated(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setattr(run_job.signal, "signal", lambda *arguments: None)
    with serve(api_key=KEY) as model, serve(api_key=KEY) as judge:
        found = invocation(tmp_path, asking(tmp_path, model.url, judge.url))
        assert play(found) == (0, "")
        place = found.directory.evaluation("m/b")
        counts = requests.read(place)
        assert [each.requests for each in counts.values()] == [3, 3]
        path = str(found.directory.path)
        said = snakeval(capsys, "clean", path, "--requests", "--failed-attempts", "--yes")
        assert said.exit_code == 0
        assert not list(place.requests.glob("*/*.journal"))
        record = place.published.read_text()
        again = invocation(tmp_path, asking(tmp_path, model.url, judge.url))
        assert again.directory.path == found.directory.path
        assert play(again) == (0, "")
        assert [server.stats()["requests"] for server in (model, judge)] == [3, 3]
    assert place.published.read_text() == record
    assert requests.read(place) == counts
    assert json.loads(record)["health"]["models"]["m"]["answered"] == 3
