"""Health is read from journals and summaries alone, whatever state they are in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from snakeval.evaluation.health import Answers, Health
from snakeval.evaluation.health_reading import read_health
from snakeval.ledger import unused
from snakeval.ledger.counts import Counts
from snakeval.ledger.slots import key_of
from support.journals import LONG, Kept, keep, place, said, summarize
from support.ledger import CHAT


def health(tmp_path: Path, *kept: Kept, **summary: Any) -> Answers:
    directory = place(tmp_path)
    keep(directory, kept)
    if summary:
        summarize(directory, "m", len(kept), **summary)
    return read_health(directory).models["m"]


def test_sound_answers_are_counted_with_their_measures(tmp_path: Path) -> None:
    kept = [Kept(n, said(system_fingerprint="fp")) for n in range(10)]
    found = health(tmp_path, *kept, causes={"429": 3})
    assert (found.asked, found.answered, found.choices) == (10, 10, 10)
    assert (found.cut, found.empty, found.reasoning_only, found.refused) == (0, 0, 0, 0)
    assert (found.given_up, found.error, found.truncated, found.html) == (0, 0, 0, 0)
    assert found.names == {"m-1": 10}
    assert found.asked_name == "m-1"
    assert found.fingerprints == {"fp": 10}
    assert found.tokens == {"prompt": 70, "completion": 50}
    assert found.first_byte is not None
    assert found.first_byte["median"] == pytest.approx(0.2, rel=0.02)
    assert found.seconds == 5.0, "half a second each, one after the other"
    assert found.requests_per_second == 2.0
    assert found.tokens_per_second == 10.0
    assert found.causes == {"429": 3}
    assert (found.equal, found.items, found.missing) == (0, 0, 0)


def test_lost_requests_come_from_the_summary(tmp_path: Path) -> None:
    lost = {"given_up": 2, "error": 1, "html": 3, "truncated": 4, "refused": 5}
    found = health(tmp_path, Kept(1), lost=lost, requests=16)
    assert (found.given_up, found.error, found.html, found.truncated) == (2, 1, 3, 4)
    assert found.refused == 5
    assert found.asked == 16


def test_a_summary_of_an_earlier_gateway_leaves_lost_requests_unknown(tmp_path: Path) -> None:
    directory = place(tmp_path)
    keep(directory, [Kept(1, said("", "length"))])
    path = directory.requests / "summary.json"
    data = json.loads(path.read_text())
    for name in ("lost", "identity"):
        del data["upstreams"]["m"][name]
    path.write_text(json.dumps(data))
    found = read_health(directory).models["m"]
    assert found.given_up is None
    assert found.html is None
    assert (found.answered, found.cut, found.empty) == (1, 1, 1)


def test_answers_that_the_last_harness_did_not_ask_for_do_not_count(tmp_path: Path) -> None:
    directory = place(tmp_path)
    old = Kept(9, said(model="another"))
    keep(directory, [Kept(1), old])
    places = [(key_of("POST", CHAT, old.requested), 0)]
    unused.write(directory.requests / "m", "identity", places)
    summarize(directory, "m", 1)
    assert read_health(directory).models["m"].names == {"m-1": 1}
    unused.write(directory.requests / "m", "other identity", places)
    assert len(read_health(directory).models["m"].names) == 2


def test_answers_that_a_filter_refused_hide_no_missing_ones(tmp_path: Path) -> None:
    filtered = [Kept(n, said("", "content_filter")) for n in range(3)]
    found = health(tmp_path, *filtered, Kept(9), answers={"asked": 6, "journal": 0})
    assert (found.answered, found.refused, found.filtered, found.missing) == (4, 3, 3, 2)


def test_each_model_that_an_evaluation_asks_has_counts_of_its_own(tmp_path: Path) -> None:
    directory = place(tmp_path)
    keep(directory, [Kept(1)], "m")
    keep(directory, [Kept(1, said("", "content_filter"))], "judge")
    found = read_health(directory).models
    assert (found["m"].refused, found["judge"].refused) == (0, 1)


def test_without_a_journal_the_summary_has_counts(tmp_path: Path) -> None:
    counts = Counts()
    counts.requests, counts.asked = 2, 2
    meta = {"empty": 1, "tokens": {"prompt": 3}, "first": 0.1, "whole": 0.2}
    for slot, finish in enumerate(("length", "max_tokens")):
        counts.received({**meta, "finish": [finish]}, b"k" * 16, slot)
    directory = place(tmp_path)
    summarize(directory, "m", 2, **counts.data(0))
    found = read_health(directory, "memory").models["m"]
    assert (found.answered, found.cut, found.empty, found.names) == (2, 2, 2, {})
    assert found.tokens == {"prompt": 6}
    assert found.given_up == 0


@pytest.mark.parametrize("text", ["", "[]", "{", '{"upstreams": []}', '{"upstreams": {}}'])
def test_a_damaged_summary_makes_health_unknown(tmp_path: Path, text: str) -> None:
    directory = place(tmp_path)
    keep(directory, [Kept(1)])
    (directory.requests / "summary.json").write_text(text)
    assert read_health(directory).unknown == "its gateway left no summary"


@pytest.mark.parametrize("part", [{"answers": 3}, {"requests": "x"}, {"lost": [1]}, {"causes": 1}])
def test_a_damaged_part_of_a_summary_leaves_the_journals_counts(tmp_path: Path, part: Any) -> None:
    found = health(tmp_path, Kept(1), **part)
    assert (found.answered, found.given_up) == (1, None)


def test_a_torn_journal_lacks_answers(tmp_path: Path) -> None:
    directory = place(tmp_path)
    keep(directory, [Kept(n) for n in range(5)])
    journal = directory.requests / "m/0001.journal"
    journal.write_bytes(journal.read_bytes()[:-10])
    found = read_health(directory).models["m"]
    assert (found.answered, found.missing) == (4, 1)


def test_refusals_that_the_journal_replays_are_no_lacking_answers(tmp_path: Path) -> None:
    replayed = {"answers": {"asked": 0, "journal": 3}, "refused_again": 2, "lost": {"refused": 2}}
    found = health(tmp_path, Kept(1), **replayed)
    assert (found.answered, found.refused, found.missing) == (1, 2, 0)


def test_no_damage_of_a_journal_raises(tmp_path: Path) -> None:
    directory = place(tmp_path)
    odd: list[Any] = [
        None, [], "text", {"choices": "x"}, {"choices": [1, None, {}]}, {"model": 3, "usage": [1]},
        {"choices": [{"message": [1], "index": []}]}, said([{"type": "text"}, 3]), said(5),
        said("x", finish=[1]), {"object": "response", "output": [1, {"type": "message"}]},
    ]  # fmt: skip
    kept = [Kept(n, body=json.dumps(each).encode()) for n, each in enumerate(odd)]
    kept += [Kept(100 + n, meta=meta) for n, meta in enumerate([
        {"headers": [["a"]]}, {"headers": 3}, {"tries": "x"}, {"waits": [1]}, {"time": "x"},
        {"tokens": {"completion": "x"}}, {"sent": 3}, {"status": "x"}, {"whole": None},
    ])]  # fmt: skip
    keep(directory, kept)
    found = read_health(directory).models["m"]
    assert found.answered is not None
    assert found.missing is not None
    assert found.missing > 0


def test_an_unreadable_place_makes_health_unknown(tmp_path: Path) -> None:
    directory = place(tmp_path)
    summarize(directory, "m", 1)
    folder = directory.requests / "m"
    folder.mkdir()
    (folder / "unused").mkdir()
    (folder / "0001.journal").write_bytes(b"no journal")
    assert "cannot be read" in read_health(directory).unknown
    assert read_health(directory, "off") == Health(unknown="its ledger is off")


def test_long_equal_answers_at_a_temperature_are_found(tmp_path: Path) -> None:
    warm = {"temperature": 0.7}
    kept = [
        Kept(q, said(LONG + (str(k) if q == 2 else ""), usage={}), k, warm)
        for q in range(3)
        for k in range(4)
    ]
    kept += [Kept(7, said("yes"), k, warm) for k in range(4)]
    kept += [Kept(8, said(LONG, usage={}), k, {"temperature": 0}) for k in range(4)]
    found = health(tmp_path, *kept)
    assert (found.items, found.equal) == (3, 2), "short ones, and those at 0, may be equal"
