"""Two Snakemakes that end one job at once, with Snakemake's own class."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from snakemake.persistence.file import FilePersistence

from snakeval.dag.shared_metadata import tolerate_another_snakemake


class Metadata(FilePersistence):  # type: ignore[misc]  # its own methods have no types
    """The metadata of one directory, without a workflow."""

    def __init__(self, place: Path) -> None:
        self._incomplete_path = str(place)

    def _record_path(self, subject: str, key: str) -> str:
        return os.path.join(subject, key)  # noqa: PTH118

    def _read_record(self, key: str) -> Any:
        return None


def test_a_mark_that_the_other_one_removes_meanwhile_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tolerate_another_snakemake()
    tolerate_another_snakemake()
    metadata = Metadata(tmp_path)
    mark = tmp_path / "results.md"
    mark.touch()
    assert metadata._get_recorded_starttime("results.md") == mark.stat().st_mtime
    monkeypatch.setattr(os.path, "exists", lambda path: True)
    mark.unlink()
    assert metadata._get_recorded_starttime("results.md") is None
