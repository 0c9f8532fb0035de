"""Attempts write to directories of their own, and a kill at any moment loses nothing.

Long because all tests share the directories that they begin with.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from snakeval.evaluation.attempts import AttemptDirectory, Attempts, Failure, Finished
from snakeval.evaluation.definition import Identity
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import Completion, Metric, now
from snakeval.lease import LeaseLost
from support.killed import kills

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
CACHES = ("cache/*",)
#: More than there are changes in any step below.
MANY = 200


@pytest.fixture
def directory(tmp_path: Path) -> EvaluationDirectory:
    return EvaluationDirectory(tmp_path / "m" / "b")


def attempts(directory: EvaluationDirectory, fingerprint: str) -> Attempts:
    return Attempts(directory, [fingerprint])


def record(fingerprint: str, number: int, artifacts: Path) -> Completion:
    place = EvaluationDirectory(artifacts.parent)
    identity = Identity("h", "", "", fingerprint, "m", "http://e", "chat", {}).as_dict()
    return Completion(
        model="m", benchmark="b", fingerprint=fingerprint, identity=identity,
        metrics=(Metric("t", "acc", float(ord(fingerprint[0]))),), adapter="generic",
        parser_version=1, started=now(), finished=now(), seconds=1.0, attempt=number,
        runtime="process", image="", image_digest="", host="h", versions={},
        manifest=place.manifest(CACHES),
    )  # fmt: skip


def worked(directory: EvaluationDirectory, fingerprint: str) -> AttemptDirectory:
    """An attempt whose harness has finished, and which is not published."""
    attempt = attempts(directory, fingerprint).begin(caches=CACHES)
    # All results have the same size, as those of one harness often have.
    (attempt.artifacts / "result").write_text(fingerprint)
    directory.attempt_log(attempt.number).write_text(fingerprint)
    sizes = {"result": len(fingerprint)}
    attempt.finish(
        Finished(fingerprint, now(), now(), 1.0, "process", "", "", "h", {"v": "1"}, sizes)
    )
    return attempt


def finish(directory: EvaluationDirectory, fingerprint: str) -> None:
    attempt = worked(directory, fingerprint)
    attempts(directory, fingerprint).publish(
        attempt, record(fingerprint, attempt.number, attempt.artifacts)
    )


def next_job(directory: EvaluationDirectory, fingerprint: str) -> bool:
    """Do what a job does that runs no harness; return whether the evaluation is complete."""
    mine = attempts(directory, fingerprint)
    if directory.completion(fingerprint) is None:
        mine.settle()
        if (found := mine.result()) is not None:
            made = found.record or record(fingerprint, found.attempt.number, found.artifacts)
            mine.publish(found.attempt, made)
    return is_sound(directory, fingerprint)


def is_sound(directory: EvaluationDirectory, fingerprint: str) -> bool:
    """Whether the evaluation is complete; never with artifacts of another definition."""
    done = directory.completion(fingerprint)
    if done is None:
        return False
    assert (directory.artifacts / "result").read_text() == fingerprint, "mixed up"
    assert done.metrics[0].value == float(ord(fingerprint[0]))
    return True


def old_layout(directory: EvaluationDirectory, fingerprint: str) -> None:
    """A finished evaluation as version 0bdcd8f left it."""
    directory.artifacts.mkdir(parents=True)
    directory.logs.mkdir()
    directory.private.mkdir()
    (directory.artifacts / "result").write_text(fingerprint)
    directory.attempt_log(1).write_text("log")
    note = {"number": 1, "fingerprint": fingerprint, "started": now()}
    (directory.private / "attempt.json").write_text(json.dumps(note))
    done = record(fingerprint, 1, directory.artifacts)
    text = json.dumps({k: v for k, v in done.as_dict().items() if k != "check"} | {"format": 1})
    for path in (directory.record(fingerprint), directory.published):
        path.write_text(text)


def old_archive(directory: EvaluationDirectory, fingerprint: str) -> None:
    """A result of an earlier definition as version 0bdcd8f archived it."""
    old_layout(directory, fingerprint)
    archive = directory.attempts / "1"
    archive.mkdir(parents=True)
    directory.published.unlink()
    moving = (directory.artifacts, directory.logs, directory.record(fingerprint))
    for path in (*moving, directory.private / "attempt.json"):
        path.rename(archive / path.name)


# --- a kill at any moment -----------------------------------------------------------------------

BEFORE: dict[str, Callable[[EvaluationDirectory], None]] = {
    "nothing": lambda directory: None,
    "another definition": lambda directory: finish(directory, A),
    "the old layout": lambda directory: old_layout(directory, A),
    "the old archive": lambda directory: old_archive(directory, A),
    "both": lambda directory: (finish(directory, B), finish(directory, A))[0],
}


@pytest.mark.parametrize("before", BEFORE)
def test_a_publication_that_is_killed_at_any_moment_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    start = EvaluationDirectory(tmp_path / "start")
    BEFORE[before](start)
    worked(start, C)
    known = {A, C} - ({A} if before == "nothing" else set())
    for change in range(MANY):
        directory = EvaluationDirectory(tmp_path / str(change) / "m")
        shutil.copytree(start.path, directory.path, symlinks=True)
        was_killed = kills(lambda d=directory: next_job(d, C), monkeypatch, change)  # type: ignore[misc]
        for fingerprint in (A, B, C):
            is_sound(directory, fingerprint)
        for first in known:
            copy = EvaluationDirectory(tmp_path / f"{change}-{first[0]}" / "m")
            shutil.copytree(directory.path, copy.path, symlinks=True)
            for fingerprint in (first, *known, first):
                assert next_job(copy, fingerprint), (change, fingerprint)
        if not was_killed:
            assert change > 3
            return
    pytest.fail("it never ends")


@pytest.mark.parametrize("before", [name for name in BEFORE if name != "nothing"])
def test_the_return_of_a_result_that_is_killed_at_any_moment_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    start = EvaluationDirectory(tmp_path / "start")
    BEFORE[before](start)
    finish(start, C)
    for change in range(MANY):
        directory = EvaluationDirectory(tmp_path / str(change) / "m")
        shutil.copytree(start.path, directory.path, symlinks=True)
        was_killed = kills(lambda d=directory: next_job(d, A), monkeypatch, change)  # type: ignore[misc]
        for fingerprint in (A, C):
            is_sound(directory, fingerprint)
        for fingerprint in (A, C, A) if change % 2 else (C, A, C):
            assert next_job(directory, fingerprint), (change, fingerprint)
        if not was_killed:
            return
    pytest.fail("it never ends")


@pytest.mark.parametrize("before", BEFORE)
def test_an_attempt_that_is_killed_while_it_begins_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    start = EvaluationDirectory(tmp_path / "start")
    BEFORE[before](start)
    first = attempts(start, C).begin(caches=CACHES)
    (first.artifacts / "cache").mkdir()
    (first.artifacts / "cache" / "answers").write_text("9,000 answers")
    for change in range(MANY):
        directory = EvaluationDirectory(tmp_path / str(change) / "m")
        shutil.copytree(start.path, directory.path, symlinks=True)
        was_killed = kills(
            lambda d=directory: attempts(d, C).begin(caches=CACHES),  # type: ignore[misc]
            monkeypatch,
            change,
        )
        again = attempts(directory, C).begin(caches=CACHES)
        assert (again.artifacts / "cache" / "answers").read_text() == "9,000 answers"
        assert again.number > first.number
        assert not list(directory.attempts.glob(".new-*"))
        if before != "nothing":
            assert next_job(directory, A)
        if not was_killed:
            return
    pytest.fail("it never ends")


# --- attempts of their own ----------------------------------------------------------------------


def test_two_attempts_write_to_different_directories(directory: EvaluationDirectory) -> None:
    paused = attempts(directory, A).begin("token 1")
    (paused.artifacts / "result").write_text("half")
    other = attempts(directory, A).begin("token 2")
    (paused.artifacts / "result").write_text("later")
    assert (other.artifacts / "result").read_text() == "half", "a copy, not a link"
    assert (paused.number, other.number) == (1, 2)
    assert not directory.artifacts.exists()
    assert directory.read_attempt().number == 2


def test_an_attempt_whose_lease_is_lost_publishes_nothing(directory: EvaluationDirectory) -> None:
    """At any step: the other attempt may begin, publish or both between two steps."""
    for lost_at in range(MANY):
        place = EvaluationDirectory(directory.path / str(lost_at))
        slow = worked(place, A)
        checks = 0

        def check(place: EvaluationDirectory = place, lost_at: int = lost_at) -> None:
            nonlocal checks
            checks += 1
            if checks == lost_at + 1:
                quick = worked(place, A)  # takes over
                attempts(place, A).publish(quick, record(A, quick.number, quick.artifacts))
            if checks > lost_at:
                raise LeaseLost

        mine = Attempts(place, [A], check)
        try:
            mine.publish(slow, record(A, slow.number, slow.artifacts))
        except LeaseLost:
            done = place.completion(A)
            assert done is not None, "the publication of the other one is damaged"
            assert done.attempt == 2
            assert is_sound(place, A)
        else:
            assert lost_at >= 4
            return
    pytest.fail("it never ends")


def test_the_same_definition_resumes_from_the_newest_attempt(
    directory: EvaluationDirectory,
) -> None:
    for number in range(1, 5):
        attempt = attempts(directory, A).begin()
        assert attempt.number == number
        found = attempt.artifacts / "done"
        assert (found.read_text() if found.exists() else "") == "x" * (number - 1)
        found.write_text("x" * number)
    kept = sorted(path.name for path in directory.attempts.iterdir())
    assert kept == ["3", "4"], "older attempts have nothing more"


def test_another_definition_starts_empty_and_the_first_one_is_kept(
    directory: EvaluationDirectory,
) -> None:
    finish(directory, A)
    directory.fail("no luck")
    attempt = attempts(directory, B).begin()
    assert list(attempt.artifacts.iterdir()) == []
    assert directory.failure_reason() == ""
    assert is_sound(directory, A), "it is still published"
    (attempt.artifacts / "result").write_text(B)
    attempts(directory, B).publish(attempt, record(B, attempt.number, attempt.artifacts))
    assert is_sound(directory, B)
    assert not is_sound(directory, A)
    assert (directory.attempts / "1/artifacts/result").read_text() == A


def test_only_caches_are_taken_from_a_finished_attempt_whose_artifacts_are_damaged(
    directory: EvaluationDirectory,
) -> None:
    attempt = worked(directory, A)
    (attempt.artifacts / "cache").mkdir()
    (attempt.artifacts / "cache" / "answers").write_text("many")
    attempts(directory, A).publish(attempt, record(A, 1, attempt.artifacts))
    (directory.artifacts / "result").write_text("trunc")
    assert attempts(directory, A).result() is None
    again = attempts(directory, A).begin(caches=CACHES)
    assert [path.name for path in again.artifacts.iterdir()] == ["cache"]


def test_invalid_results_are_no_point_to_resume_from(directory: EvaluationDirectory) -> None:
    attempt = attempts(directory, A).begin()
    (attempt.artifacts / "result").write_text("half of the answers are missing")
    attempt.fail(Failure("lost its model server", invalid=True))
    again = attempts(directory, A).begin(caches=CACHES)
    assert list(again.artifacts.iterdir()) == []


def test_a_cache_that_fails_twice_alike_is_left_out_once(directory: EvaluationDirectory) -> None:
    def fails(reason: str) -> bool:
        """Begin an attempt and let it fail; return whether it had the cache."""
        attempt = attempts(directory, A).begin(caches=CACHES)
        cache = attempt.artifacts / "cache/answers"
        had = cache.exists()
        cache.parent.mkdir(exist_ok=True)
        cache.write_text("many" if had or attempt.number == 1 else "few")
        attempt.fail(Failure(reason, poison=True))
        return had

    assert [fails(f"database disk image is malformed ({n})") for n in range(3)] == [
        False, True, False,
    ]  # fmt: skip
    # Without the cache it fails alike, so the cache is not the cause, and comes back for good.
    assert [fails(f"database disk image is malformed ({n})") for n in range(3)] == [True] * 3
    cache = directory.newest_artifacts / "cache/answers"
    assert cache.read_text() == "many"


def test_a_fresh_cache_that_helps_stays(directory: EvaluationDirectory) -> None:
    for reason in ("malformed", "malformed", "interrupted"):
        attempt = attempts(directory, A).begin(caches=CACHES)
        (attempt.artifacts / "cache").mkdir(exist_ok=True)
        (attempt.artifacts / "cache/answers").write_text(str(attempt.number))
        if reason != "interrupted":
            attempt.fail(Failure(reason, poison=True))
    attempt = attempts(directory, A).begin(caches=CACHES)
    assert (attempt.artifacts / "cache/answers").read_text() == "3"


def test_failures_of_the_endpoint_do_not_blame_the_cache(directory: EvaluationDirectory) -> None:
    for _ in range(3):
        attempt = attempts(directory, A).begin(caches=CACHES)
        (attempt.artifacts / "cache").mkdir(exist_ok=True)
        attempt.fail(Failure("the endpoint cannot be reached"))
    assert (attempt.artifacts / "cache").exists() or attempt.number == 3
    again = attempts(directory, A).begin(caches=CACHES)
    assert directory.read_attempt().resumes == again.number - 1


def test_a_copy_without_hidden_files_is_whole(directory: EvaluationDirectory) -> None:
    finish(directory, A)
    finish(directory, B)
    copy = EvaluationDirectory(directory.path.parent / "copy")
    shutil.copytree(directory.path, copy.path, ignore=shutil.ignore_patterns(".*"))
    assert not copy.private.exists()
    assert is_sound(copy, B)
    assert copy.read_attempt().number == 2
    assert next_job(copy, A)
    assert next_job(copy, B)
    assert attempts(copy, C).begin().number == 3


def test_a_result_without_its_attempts_is_kept(directory: EvaluationDirectory) -> None:
    """A person deleted the folder of attempts."""
    finish(directory, A)
    shutil.rmtree(directory.attempts)
    assert is_sound(directory, A)
    finish(directory, B)
    assert next_job(directory, A)


def test_sparse_artifacts_stay_sparse(directory: EvaluationDirectory) -> None:
    first = attempts(directory, A).begin()
    with (first.artifacts / "samples.bin").open("wb") as file:
        file.write(b"begin")
        file.truncate(1 << 33)
        file.seek((1 << 32) + 5)
        file.write(b"middle")
    again = attempts(directory, A).begin()
    found = again.artifacts / "samples.bin"
    assert found.stat().st_size == 1 << 33
    assert found.stat().st_blocks * 512 < 1 << 20
    with found.open("rb") as file:
        assert file.read(5) == b"begin"
        file.seek((1 << 32) + 5)
        assert file.read(6) == b"middle"
