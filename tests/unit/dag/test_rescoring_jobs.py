"""Re-scores whose jobs run: which requests arrive where, and what the scores are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snakeval.demo.server import DemoServer, serve
from snakeval.jobs import run_job
from support.asking import KEY
from support.invocations import invocation
from support.stored import asking, play


@pytest.fixture(autouse=True)
def in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home of its own, and no handlers of signals: pytest has its own."""
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MY_KEY", KEY)
    monkeypatch.setattr(run_job.signal, "signal", lambda *arguments: None)


@contextmanager
def servers() -> Iterator[tuple[DemoServer, DemoServer]]:
    with serve(api_key=KEY) as model, serve(api_key=KEY) as judge:
        yield model, judge


def asked(*servers: DemoServer) -> list[int]:
    return [server.stats()["requests"] for server in servers]


def test_no_request_reaches_a_model_and_a_judge_is_asked_again_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with servers() as (model, judge):
        content = asking(tmp_path, model.url, judge.url)
        origin = invocation(tmp_path, content)
        assert (play(origin), asked(model, judge)) == ((0, ""), [3, 3])
        found = invocation(tmp_path, content, rescore=str(origin.directory.path), judge="j")
        assert (play(found), asked(model, judge)) == ((0, ""), [3, 6])
        monkeypatch.delenv("MY_KEY")
        changed = asking(tmp_path, model.url, judge.url, weight=2)
        for wanted, outcome in (
            (content, r"the scores are equal to the digit (the same definition)"),
            (changed, "the scores differ: b v "),
        ):
            found = invocation(tmp_path, wanted, rescore=str(origin.directory.path))
            assert (play(found), asked(model, judge)) == ((0, ""), [3, 6])
            assert found.rescoring is not None
            said = found.rescoring.outcome(found.directory, found.everything[0])
            assert said.startswith(outcome)


def test_changed_prompts_fail_the_evaluation_and_are_asked_with_permission(
    tmp_path: Path,
) -> None:
    with servers() as (model, judge):
        origin = invocation(tmp_path, asking(tmp_path, model.url, judge.url))
        assert play(origin) == (0, "")
        content = asking(tmp_path, model.url, judge.url, word="Which")
        found = invocation(tmp_path, content, rescore=str(origin.directory.path))
        code, reason = play(found)
        assert (code, asked(model, judge)) == (1, [3, 3])
        assert "no answer to at least 1 request: POST /v1/chat/completions" in reason
        assert reason.endswith(
            f"; `snakeval resume {found.run.id} -- --config ask=true` asks the model"
        )
        log = found.directory.evaluation("m/b").newest_log().read_text()
        assert "not in the journal: POST /v1/chat/completions" in log
        assert "Which is 0?" in log
        resumed = invocation(tmp_path, content, run=found.run.id, ask=True)
        assert play(resumed) == (0, "")
        assert asked(model)[0] == 6, "three prompts are new"


def test_a_run_whose_answers_came_from_another_run_is_scored_again(tmp_path: Path) -> None:
    with servers() as (model, judge):
        content = asking(tmp_path, model.url, judge.url)
        first = invocation(tmp_path, content)
        assert play(first) == (0, "")
        second = invocation(tmp_path, content, run="new", answers=str(first.directory.path))
        assert (play(second), asked(model, judge)) == ((0, ""), [3, 3])
        first.directory.path.rename(tmp_path / "elsewhere")
        third = invocation(tmp_path, content, rescore=str(second.directory.path))
        assert (play(third), asked(model, judge)) == ((0, ""), [3, 3])
        assert third.rescoring is not None
        said = third.rescoring.outcome(third.directory, third.everything[0])
        assert said == "the scores are equal to the digit (the same definition)"
