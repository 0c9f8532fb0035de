"""The note of the answers that no harness asked for again."""

from __future__ import annotations

from pathlib import Path

from snakeval.ledger import unused

PLACES = {(b"a" * 16, 0), (b"b" * 16, 3)}


def test_a_note_is_of_one_identity(tmp_path: Path) -> None:
    unused.write(tmp_path, "one", PLACES)
    assert unused.read(tmp_path, "one") == PLACES
    assert unused.read(tmp_path, "other") == set()


def test_without_answers_there_is_no_note(tmp_path: Path) -> None:
    unused.write(tmp_path, "one", PLACES)
    unused.write(tmp_path, "one", [])
    assert not list(tmp_path.iterdir())
    unused.write(tmp_path / "no folder", "one", PLACES)
    assert unused.read(tmp_path / "no folder", "one") == set()


def test_a_torn_note_has_its_whole_places(tmp_path: Path) -> None:
    unused.write(tmp_path, "one", sorted(PLACES))
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    assert unused.read(tmp_path, "one") == {(b"a" * 16, 0)}
