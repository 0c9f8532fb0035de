"""An evaluation's directory: what counts as done, and what becomes of what was there before."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakeval.errors import EvaluationError
from snakeval.evaluation.attempts import Attempts
from snakeval.evaluation.definition import Identity
from snakeval.evaluation.directory import EvaluationDirectory, Kind
from snakeval.evaluation.record import Completion, Metric, now
from support.made import Made, begin

OLD, NEW = "a" * 64, "b" * 64
IDENTITY = json.loads(json.dumps(Identity("h", "", "", "t", "m", "http://e", "chat", {}).as_dict()))


def completion(directory: EvaluationDirectory, fingerprint: str) -> Completion:
    return Completion(
        model="m", benchmark="b", fingerprint=fingerprint, identity=IDENTITY,
        metrics=(Metric("t", "acc", 0.5, stderr=0.1, n=4),), adapter="generic", parser_version=1,
        started=now(), finished=now(), seconds=1.0, attempt=1, runtime="process", image="",
        image_digest="", host="h", versions={}, manifest=directory.manifest(["cache/*"]),
    )  # fmt: skip


def attempt(directory: EvaluationDirectory, fingerprint: str, text: str) -> int:
    number = begin(directory, fingerprint)
    (directory.artifacts / "result").write_text(text)
    return number


@pytest.fixture
def directory(tmp_path: Path) -> EvaluationDirectory:
    return EvaluationDirectory(tmp_path / "m" / "b")


def test_a_record_is_read_as_it_was_written(directory: EvaluationDirectory) -> None:
    attempt(directory, OLD, "1")
    done = completion(directory, OLD)
    directory.complete(done)
    assert directory.completion(OLD) == done
    assert Completion.from_json(directory.published.read_text()) == done
    assert directory.completion(NEW) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 99}', '{"format": 1}', "null"])
def test_what_is_no_record_does_not_count(directory: EvaluationDirectory, text: str) -> None:
    attempt(directory, OLD, "1")
    directory.record(OLD).write_text(text)
    assert directory.completion(OLD) is None


def test_a_record_without_its_artifacts_does_not_count(directory: EvaluationDirectory) -> None:
    attempt(directory, OLD, "12345")
    (directory.artifacts / "cache").mkdir()
    (directory.artifacts / "cache" / "answers").write_text("many")
    directory.complete(completion(directory, OLD))
    (directory.artifacts / "cache" / "answers").unlink()
    assert directory.completion(OLD), "a cache is no result"
    (directory.artifacts / "result").write_text("123")
    assert directory.completion(OLD) is None
    (directory.artifacts / "result").unlink()
    assert directory.completion(OLD) is None


def test_a_number_that_is_too_large_is_a_damaged_record(directory: EvaluationDirectory) -> None:
    attempt(directory, OLD, "1")
    done = replace(completion(directory, OLD), format=1)
    text = done.to_json().replace('"params": {}', '"params": {"seed": 1e999}')
    with pytest.raises(ValueError, match="Out of range"):
        Completion.from_json(text)


def test_an_identity_of_no_seal_without_its_model_is_a_damaged_record(
    directory: EvaluationDirectory,
) -> None:
    attempt(directory, OLD, "1")
    done = replace(completion(directory, OLD), format=1)
    assert Completion.from_json(done.to_json()) == done
    part = {name: value for name, value in done.identity.items() if name != "model_id"}
    with pytest.raises(ValueError, match=r"Identity\.model_id: missing"):
        Completion.from_json(replace(done, identity=part).to_json())


@pytest.mark.parametrize("transport", ['"text"', "[1]", "7"])
def test_a_transport_of_another_type_is_damage(
    directory: EvaluationDirectory, transport: str
) -> None:
    directory.private.mkdir(parents=True)
    directory.spec.write_text(f'{{"transport": {transport}}}')
    with pytest.raises(ValueError, match="its transport is no mapping"):
        directory.read_transport()


@pytest.mark.parametrize("lost", ["artifact", "private", "published"])
def test_a_link_to_itself_is_damage_and_not_unknown(
    directory: EvaluationDirectory, lost: str
) -> None:
    attempt(directory, OLD, "1")
    directory.complete(completion(directory, OLD))
    paths = {"artifact": directory.artifacts / "result", "private": directory.record(OLD)}
    path = paths.get(lost, directory.published)
    path.unlink()
    path.symlink_to(path.name)
    why = directory.why_incomplete(OLD)
    assert (why.kind if why else None) == (Kind.ARTIFACTS if lost == "artifact" else None)


@pytest.mark.parametrize("copy", ["private", "published"])
def test_one_changed_byte_of_a_copy_is_repaired(directory: EvaluationDirectory, copy: str) -> None:
    attempt(directory, OLD, "1")
    done = completion(directory, OLD)
    directory.complete(done)
    path = directory.record(OLD) if copy == "private" else directory.published
    path.write_text(path.read_text().replace("0.5", "0.6"))
    assert directory.is_published(OLD), "it is as long"
    assert not directory.is_published(OLD, to_the_letter=True)
    found = directory.completion(OLD)
    assert found == done
    directory.publish(done)
    assert directory.is_published(OLD, to_the_letter=True)
    assert list(directory.copies(OLD)) == [json.loads(done.to_json())] * 2


def test_a_record_counts_by_its_whole_fingerprint(directory: EvaluationDirectory) -> None:
    attempt(directory, OLD, "1")
    directory.complete(completion(directory, OLD))
    alike = OLD[:32] + NEW[32:]
    assert directory.record(alike) == directory.record(OLD)
    assert directory.completion(alike) is None


def test_a_failure_stays_until_another_attempt_decides(directory: EvaluationDirectory) -> None:
    attempt(directory, OLD, "1")
    assert directory.unended_attempt(OLD) == 1
    directory.fail("out of coffee")
    assert directory.failure_reason() == "out of coffee"
    assert directory.unended_attempt(OLD) == 0
    Attempts(directory, [OLD]).begin()
    assert directory.failure_reason() == ""
    assert directory.unended_attempt(OLD) == 2


def test_an_artifact_that_differs_in_size_or_is_a_directory_is_another(
    directory: EvaluationDirectory,
) -> None:
    attempt(directory, OLD, "1")
    directory.complete(completion(directory, OLD))
    (directory.artifacts / "result").unlink()
    (directory.artifacts / "result").mkdir()
    assert directory.completion(OLD) is None


def test_the_attempts_log_is_the_declared_one(directory: EvaluationDirectory) -> None:
    attempt(directory, OLD, "1")
    for number in (1, 2):
        directory.attempt_log(number).write_text(f"attempt {number}")
        directory.show_log(number)
        assert directory.log.read_text() == f"attempt {number}"
    assert directory.attempt_log(1).read_text() == "attempt 1"


STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=8)


@given(STEPS)
def test_whatever_is_tried_in_turn_nothing_finished_is_lost_or_mixed_up(
    steps: list[tuple[str, bool]],
) -> None:
    """Attempts at three definitions, some of which finish."""
    with tempfile.TemporaryDirectory() as name:
        directory = EvaluationDirectory(Path(name, "m", "b"))
        finished: dict[str, str] = {}
        for step, (letter, finishes) in enumerate(steps):
            fingerprint = letter * 64
            attempts = Attempts(directory, [fingerprint])
            attempts.settle()
            found = attempts.result()
            assert (found is not None) == (letter in finished)
            if found is not None:
                assert found.record is not None
                attempts.publish(found.attempt, found.record)
                assert directory.completion(fingerprint) is not None
                assert (directory.artifacts / "result").read_text() == finished[letter]
                continue
            begun = attempts.begin()
            (begun.artifacts / "result").write_text(f"{letter}{step}")
            if finishes:
                made = completion(EvaluationDirectory(begun.path), fingerprint)
                attempts.publish(begun, replace(made, attempt=begun.number))
                finished[letter] = f"{letter}{step}"
        kept = {path.read_text() for path in directory.path.rglob("result")}
        assert kept >= set(finished.values())


def test_a_definition_without_a_fingerprint_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    place = Made(tmp_path, "b")["b"]
    definition = json.loads(place.spec.read_text())
    assert place.read_evaluation().fingerprint == definition["fingerprint"]
    definition["identity"]["params"]["temperature"] = float("nan")
    place.spec.write_text(json.dumps({k: v for k, v in definition.items() if k != "sha256"}))
    with pytest.raises(EvaluationError, match="cannot be read"):
        place.read_evaluation()
