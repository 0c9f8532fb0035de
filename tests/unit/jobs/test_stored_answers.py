"""Stored answers are dropped as a command wants it, and those of other models if health failed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from snakeval.jobs.stored_answers import asks_again, note_stale, prepare_answers
from snakeval.ledger.reading import stored
from support.journals import Kept, keep, place, said, summarize


def evaluation(ask_again: str = "", keep: Any = None, **transport: Any) -> Any:
    known = {"ledger": "on", "health": {}, "answers": (), **transport}
    transport_ = SimpleNamespace(ask_again=ask_again, keep=keep or {}, **known)
    return SimpleNamespace(model="m", identity=SimpleNamespace(auxiliary={}), transport=transport_)


def wait(seconds: float) -> None:
    raise AssertionError("no gateway lives")


def left(directory: Any) -> list[int]:
    return sorted(
        int(one.request()["messages"][0]["content"].split()[1])
        for one in stored(directory.requests)
    )


def test_answers_of_another_model_are_dropped_in_the_last_identity_only(tmp_path: Path) -> None:
    directory = place(tmp_path)
    keep(directory, [Kept(1), Kept(2, said(model="m-2")), Kept(3, {"choices": []})])
    lines: list[str] = []
    other = evaluation(keep={"m": "m-1"})
    prepare_answers(other, directory, wait, lines.append)
    assert left(directory) == [1, 3], "an answer without a name stays"
    assert lines == ["requests 1 stored answers again, which name another model"]
    prepare_answers(other, directory, wait, lines.append)
    assert len(lines) == 1
    summarize(directory, "m", 2, identity="of another definition")
    prepare_answers(evaluation(keep={"m": "m-9"}), directory, wait, lines.append)
    assert left(directory) == [1, 3]


def test_cut_answers_are_unhealthy_only_if_they_fail(tmp_path: Path) -> None:
    directory = place(tmp_path)
    refused = Kept(3, {"error": {"message": "no"}}, meta={"status": 400})
    keep(directory, [Kept(1, said("half", "length")), Kept(2, said("")), refused, Kept(4)])
    prepare_answers(evaluation("unhealthy 1"), directory, wait, [].append)
    assert left(directory) == [1, 4]
    fails = {"cut": {"fail": 0.01}}
    prepare_answers(evaluation("unhealthy 1", health=fails), directory, wait, [].append)
    assert left(directory) == [1, 4], "once for each command"
    prepare_answers(evaluation("unhealthy 2", health=fails), directory, wait, [].append)
    assert left(directory) == [4]


def test_answers_of_other_weights_are_dropped_once(tmp_path: Path) -> None:
    directory = place(tmp_path)
    keep(directory, [Kept(1), Kept(2)])
    keep(directory, [Kept(3)], "judge")
    note_stale(directory, ["m"])
    lines: list[str] = []
    for _ in range(2):
        prepare_answers(evaluation(), directory, wait, lines.append)
    assert left(directory) == [3]
    assert lines == ["requests 2 stored answers again, since their server had other weights"]


def test_only_a_journal_is_asked_again(tmp_path: Path) -> None:
    directory = place(tmp_path)
    assert not asks_again(evaluation(), directory)
    assert not asks_again(evaluation("all 1", ledger="memory"), directory)
    assert asks_again(evaluation("all 1"), directory)
