"""The manifest of many artifacts is a file of its own, and each artifact counts."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from snakeval.evaluation import directory as directory_module
from snakeval.evaluation import trees
from snakeval.evaluation.attempts import Attempts
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import Completion, now
from snakeval.files import read_bytes
from snakeval.files.damage import _Damage
from snakeval.jobs.publication import finish, reuse
from snakeval.matrix.expand import expand
from snakeval.results.verify import verify
from snakeval.run.directory import RunDirectory
from snakeval.run.plan import Planned
from support.configs import COMMAND, MODEL, config

FOLDERS, FILES = 20, 100


@pytest.fixture(autouse=True)
def looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process only looks, also if an earlier test of it started a run."""
    monkeypatch.setattr(_Damage, "repairs", False)


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return RunDirectory(tmp_path / "run")


@pytest.fixture
def place(tmp_path: Path, run: RunDirectory) -> EvaluationDirectory:
    (made,) = expand(config(tmp_path, {"models": {"m": MODEL}, "benchmarks": {"b": COMMAND}}))
    directory = run.evaluation("m/b")
    attempts = Attempts(directory, (made.fingerprint,))
    attempt = attempts.begin()
    (attempt.artifacts / "f").write_text('{"v": 0.25}')
    for folder in range(FOLDERS):
        (attempt.artifacts / f"d{folder}").mkdir()
        for file in range(FILES):
            (attempt.artifacts / f"d{folder}/{file}").touch()
    directory.define(made)
    run.write_plan([Planned("m", "b", made.fingerprint)])
    finish(
        made, attempts, attempt, started=now(), seconds=1.0, runtime="process", image="",
        image_digest="", servers={},
    )  # fmt: skip
    return directory


def record_of(place: EvaluationDirectory) -> Completion:
    return Completion.from_json(place.published.read_text())


def changes(run: RunDirectory) -> list[str]:
    return [f.what for f in verify(run, tuple(run.plan()))[0] if f.where == "m/b"]


def test_the_record_of_many_artifacts_is_small_and_whole(place: EvaluationDirectory) -> None:
    record = record_of(place)
    assert place.published.stat().st_size < 30_000
    assert record.manifest[0]["path"] == "f", "the files of results come first"
    whole = place.whole_manifest(record)
    assert whole is not None
    assert len(whole) == FOLDERS * FILES + 1
    assert place.completion(record.fingerprint) == record


def harm(place: EvaluationDirectory, how: str) -> str:
    deep = place.artifacts / f"d{FOLDERS - 1}/{FILES - 1}"
    deep.unlink() if how == "removed" else deep.write_text("x")
    return f"artifacts/d{FOLDERS - 1}/{FILES - 1} "


@pytest.mark.parametrize("runs", [False, True])
@pytest.mark.parametrize("how", ["removed", "truncated"])
def test_each_artifact_counts_however_many_there_are(
    place: EvaluationDirectory, monkeypatch: pytest.MonkeyPatch, how: str, *, runs: bool
) -> None:
    record = record_of(place)
    monkeypatch.setattr(_Damage, "repairs", runs)
    assert place.why_incomplete(record.fingerprint) is None
    name = harm(place, how)
    incomplete = place.why_incomplete(record.fingerprint)
    assert incomplete is not None
    assert name in incomplete.reason


def test_a_copy_with_other_times_is_whole_and_needs_no_manifest(
    tmp_path: Path, place: EvaluationDirectory
) -> None:
    record = record_of(place)
    copy = EvaluationDirectory(tmp_path / "other" / "m" / "b")
    shutil.copytree(place.path, copy.path, symlinks=True)
    os.utime(copy.artifacts / "d0", ns=(0, 0))
    for manifest in copy.attempts.glob("*/manifest.json"):
        manifest.unlink()
    assert copy.why_incomplete(record.fingerprint) is None


@pytest.mark.parametrize("by", ["a file more", "an earlier version's note"])
def test_without_a_note_that_fits_each_artifact_of_the_manifest_is_looked_at(
    place: EvaluationDirectory, by: str
) -> None:
    record = record_of(place)
    if by == "a file more":
        (place.artifacts / "more").touch()
    else:
        for note in place.attempts.glob("*/sizes.json"):
            note.unlink()
    assert place.why_incomplete(record.fingerprint) is None
    name = harm(place, "truncated")
    incomplete = place.why_incomplete(record.fingerprint)
    assert incomplete is not None
    assert name in incomplete.reason


def test_a_look_sees_the_size_of_the_results(place: EvaluationDirectory) -> None:
    record = record_of(place)
    (place.artifacts / "f").write_text("")
    incomplete = place.why_incomplete(record.fingerprint)
    assert incomplete is not None
    assert "artifacts/f has 0 bytes" in incomplete.reason


def test_a_look_does_not_read_the_manifest(
    place: EvaluationDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_of(place)
    read = []
    monkeypatch.setattr(directory_module, "read_bytes", lambda p: read.append(p) or read_bytes(p))
    assert place.why_incomplete(record.fingerprint) is None
    assert read
    assert not [path for path in read if "manifest" in str(path)]
    (note,) = place.attempts.glob("*/sizes.json")
    note.write_text(note.read_text().replace("a", "b"))
    assert place.why_incomplete(record.fingerprint) is None, "a damaged note only costs time"
    assert [path for path in read if "manifest" in str(path)]


@pytest.mark.parametrize("damage", ["gone", "truncated", "of others"])
def test_a_damaged_manifest_is_written_again_if_the_artifacts_are_the_same(
    run: RunDirectory, place: EvaluationDirectory, damage: str
) -> None:
    record = record_of(place)
    (file,) = place.attempts.glob("*/manifest.json")
    before = file.read_text()
    file.unlink() if damage == "gone" else file.write_text(before[:-9])
    if damage == "of others":
        (place.artifacts / "d0/0").write_text("changed")
    assert place.mend_manifest(record.as_dict(), ()) is (damage != "of others")
    if damage == "of others":
        assert changes(run) == ["attempts/1/manifest.json is damaged or gone"]
    else:
        assert file.read_text() == before
        assert changes(run) == []


def test_a_look_at_the_evaluation_reads_no_artifact(
    place: EvaluationDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_of(place)
    read = []
    opened = os.open
    monkeypatch.setattr(os, "open", lambda path, *a: read.append(str(path)) or opened(path, *a))
    assert place.why_incomplete(record.fingerprint) is None
    assert not [path for path in read if "/artifacts/" in path]


def test_without_its_manifest_the_first_artifacts_count(place: EvaluationDirectory) -> None:
    record = record_of(place)
    (file,) = place.attempts.glob("*/manifest.json")
    file.unlink()
    assert place.why_incomplete(record.fingerprint) is None
    (place.artifacts / "f").unlink()
    incomplete = place.why_incomplete(record.fingerprint)
    assert incomplete is not None
    assert incomplete.reason == "artifacts/f is gone"


def test_verify_reads_it_and_finds_each_change(
    run: RunDirectory, place: EvaluationDirectory
) -> None:
    assert changes(run) == []
    deep = place.artifacts / f"d{FOLDERS - 1}/{FILES - 1}"
    deep.write_text("x")
    assert changes(run) == [f"artifacts/d{FOLDERS - 1}/{FILES - 1} has different content"]
    deep.unlink()
    assert changes(run) == [f"artifacts/d{FOLDERS - 1}/{FILES - 1} is gone"]
    deep.touch()
    (place.artifacts / "d0/more").touch()
    assert changes(run) == ["artifacts/d0/more was added"]


def test_verify_finds_a_changed_and_a_lost_manifest(
    run: RunDirectory, place: EvaluationDirectory
) -> None:
    (file,) = place.attempts.glob("*/manifest.json")
    whole = json.loads(file.read_text())
    file.write_text(json.dumps(whole[:-1]))
    assert changes(run) == ["attempts/1/manifest.json is damaged or gone"]
    file.unlink()
    assert changes(run) == ["attempts/1/manifest.json is damaged or gone"]


def test_a_record_of_few_artifacts_has_them_all(tmp_path: Path, place: EvaluationDirectory) -> None:
    record = record_of(place)
    few = trees.manifest(place.artifacts / "d0")
    data = json.loads(
        Completion.from_dict(
            {**record.as_dict(), "manifest": few, "manifest_apart": "", "format": 1}
        ).to_json()
    )
    assert "manifest_apart" not in data
    assert len(data["manifest"]) == FILES


def test_a_published_result_is_reused(tmp_path: Path, place: EvaluationDirectory) -> None:
    before = record_of(place)
    place.published.unlink()
    assert reuse(place.read_evaluation(), place) == before
    assert place.published.exists()
