"""An evaluation takes over the result and the answers of one with an equal definition."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from snakeval.evaluation.attempts import Attempts
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.health import Health
from snakeval.evaluation.takeover import take_over
from snakeval.ledger import brought
from snakeval.ledger.summary import folder_of
from support.made import Made


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    return Made(tmp_path, "b")


def twin_of(run: Made) -> EvaluationDirectory:
    return run.directory.evaluation("twin/b")


def fingerprint_of(run: Made) -> str:
    return run.evaluations["b"].fingerprint


def finished(run: Made) -> EvaluationDirectory:
    run.done("b")
    place = run["b"]
    Attempts(place, [fingerprint_of(run)]).settle()  # its attempt gets a record, as of a job
    place.logs.mkdir(exist_ok=True)
    place.attempt_log(1).write_text("=== attempt 1")
    return place


def test_a_result_is_published_under_the_other_name(run: Made) -> None:
    source, own = finished(run), twin_of(run)
    take_over(source, own, fingerprint_of(run))
    before = source.completion(fingerprint_of(run))
    found = own.completion(fingerprint_of(run))
    assert before is not None
    assert found is not None
    assert replace(found, model="m", attempt=before.attempt) == before
    assert found.model == "twin"
    assert own.is_published(fingerprint_of(run), to_the_letter=True)
    assert own.log.read_text() == "=== attempt 1"
    assert own.read_attempt().number == 1
    assert {path.name for path in own.artifacts.iterdir()} == {
        path.name for path in source.artifacts.iterdir()
    }
    text = own.published.read_text()
    take_over(source, own, fingerprint_of(run))
    assert own.published.read_text() == text, "once"
    assert source.completion(fingerprint_of(run)) == before, "it keeps its own"


def test_a_result_whose_place_another_definition_has_is_found(run: Made) -> None:
    source = finished(run)
    run.begun("b")  # which moves the artifacts of the first attempt to its directory
    assert source.completion(fingerprint_of(run)) is None
    take_over(source, twin_of(run), fingerprint_of(run))
    assert twin_of(run).completion(fingerprint_of(run)) is not None


def test_the_health_of_the_answers_has_the_new_name(run: Made) -> None:
    source = finished(run)
    record = source.completion(fingerprint_of(run))
    assert record is not None
    health = {**record.health, "models": {"m": {"requests": 3}, "judge": {"requests": 1}}}
    attempt = source.attempts / str(record.attempt)
    changed = replace(record, health=health)
    (attempt / source.record(record.fingerprint).name).write_text(changed.to_json())
    take_over(source, twin_of(run), fingerprint_of(run))
    found = twin_of(run).completion(fingerprint_of(run))
    assert found is not None
    assert Health.read(found.health).models.keys() == {"twin", "judge"}


def test_without_a_result_only_the_answers_come(run: Made) -> None:
    source, own = run.begun("b"), twin_of(run)
    for model in ("m", "judge"):
        folder = folder_of(source.requests, model)
        folder.mkdir(parents=True)
        (folder / "0001.journal").write_text(model)
    take_over(source, own, fingerprint_of(run))
    assert own.completion(fingerprint_of(run)) is None
    for model, content in (("twin", "m"), ("judge", "judge")):
        folder = folder_of(own.requests, model)
        assert (folder / "0001.journal").read_text() == content
        assert brought.read(folder) == {"0001.journal"}
    assert not own.lease.exists()
    (folder_of(source.requests, "m") / "0002.journal").write_text("later")
    take_over(source, own, fingerprint_of(run))
    assert not (folder_of(own.requests, "twin") / "0002.journal").exists(), "it has its own by now"


def test_nothing_is_taken_from_nothing(run: Made) -> None:
    take_over(run.directory.evaluation("none/b"), twin_of(run), fingerprint_of(run))
    assert not twin_of(run).exists
