"""The health of finished evaluations in table and report, also of records that have none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from snakeval.evaluation.attempts import AttemptDirectory, Finished
from snakeval.evaluation.health import HEALTH_VERSION, Health
from snakeval.evaluation.requests import answer_identity
from snakeval.results import health
from snakeval.results.report.content import collect
from snakeval.results.report.samples import Shelves
from snakeval.results.table import records, table
from support.journals import Kept, keep, said, summarize
from support.made import Made, completion


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    return Made(tmp_path, "one", "two")


def rows(made: Made) -> dict[str, tuple[str | None, str | None]]:
    found = records(table(made.directory))
    return {row["benchmark"]: (row["health"], row["warning"]) for row in found}


def test_the_table_has_a_verdict_for_each_evaluation(made: Made) -> None:
    made.judged("one", cut=7)
    made.judged("two")
    found = rows(made)
    assert found["one"][0] == "12 % cut"
    assert "7 of 60 answers were cut" in str(found["one"][1])
    assert found["two"] == ("ok", None)


def test_the_rules_of_the_last_command_count(made: Made) -> None:
    place = made.judged("one", cut=7)
    evaluation = made.evaluations["one"]
    transport = replace(evaluation.transport, health={"cut": {}})
    place.spec.write_text(replace(evaluation, transport=transport).to_json())
    assert rows(made)["one"] == ("ok", None)


def test_a_failed_evaluation_shows_the_verdict_on_its_last_attempt(made: Made) -> None:
    place = made.failed("one", "answers were cut")
    done = completion(made.evaluations["one"], place)
    counts = {"version": 1, "models": {"m": {"choices": 60, "cut": 7}}}
    attempt = AttemptDirectory(place.attempts / str(place.read_attempt().number))
    attempt.finish(replace(Finished.of_record(done), health=counts))
    assert rows(made) == {"one": ("12 % cut", None), "two": (None, None)}


def old_ledger(made: Made) -> Health:
    """Return the health of a finished evaluation of a snakeval that counted none."""
    place = made["one"]
    done = place.completion(made.evaluations["one"].fingerprint)
    assert done is not None
    return health.current(place, replace(done, versions={"ledger": "on"}))


def test_an_old_ledger_gains_health_once_and_without_a_request(made: Made) -> None:
    place = made.done("one")
    evaluation = made.evaluations["one"]
    keep(place, [Kept(1, said("half", "length")), Kept(2)])
    own = answer_identity(evaluation.identity.as_dict())
    summarize(place, "m", 2, identity=own)
    journal = place.requests / "m/0001.journal"
    text = journal.read_bytes()
    size = len(json.dumps({"identity": "identity"}))
    assert text[18:22] == size.to_bytes(4, "little")
    header = json.dumps({"identity": own}).encode()
    journal.write_bytes(text[:18] + len(header).to_bytes(4, "little") + header + text[22 + size :])
    assert old_ledger(made).models["m"].cut == 1
    journal.unlink()
    assert old_ledger(made).models["m"].cut == 1, "the cache has it"


def test_a_journal_of_another_definition_says_nothing(made: Made) -> None:
    keep(made.done("one"), [Kept(1)])
    assert old_ledger(made).unknown == "its journal is of another definition"


def test_health_stays_as_recorded_if_the_journal_is_gone(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later snakeval counts in another way, and `snakeval clean` has removed the journal."""
    place = made.judged("one", cut=7)
    done = place.completion(made.evaluations["one"].fingerprint)
    assert done is not None
    recorded = health.current(place, done)
    own = answer_identity(made.evaluations["one"].identity.as_dict())
    summarize(place, "m", 60, identity=own)
    monkeypatch.setattr(health, "HEALTH_VERSION", HEALTH_VERSION + 1)
    assert health.current(place, done) == recorded
    assert recorded.models["m"].cut == 7
    keep(place, [Kept(1)])
    assert health.current(place, done) == recorded, "the journal is of another definition"


def test_without_a_ledger_health_is_unknown(made: Made) -> None:
    made.done("one")
    assert rows(made)["one"] == ("unknown", None)


def test_the_report_lists_findings_with_their_requests(made: Made, tmp_path: Path) -> None:
    made.judged("one", cut=7, examples={"cut": ["3f9a6c01d2e4"]}, fingerprints={"a": 59, "b": 1})
    made.judged("two", given_up=1)
    found = collect([made.directory], Shelves(tmp_path / "samples"), made.directory.report).health
    assert [(c.benchmark, f.level, f.rule) for c, f in found] == [
        ("two", "fail", "given_up"), ("one", "warn", "cut"), ("one", "note", "fingerprint"),
    ]  # fmt: skip
    assert found[1][1].examples == ("3f9a6c01d2e4",)


def test_the_report_says_why_health_is_unknown_once_for_all_evaluations(made: Made) -> None:
    for name in ("one", "two"):
        made.judged(name, unended=60)
    found = collect([made.directory], Shelves(made.path / "samples"), made.directory.report)
    ((why, whose),) = found.unknown_health.items()
    assert "60 of 60 answers of m have no known finish_reason" in why
    assert whose == "m/one and 1 more"
    assert rows(made)["one"] == ("cut unknown", None)
