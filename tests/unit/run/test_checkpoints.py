"""`series.json` of a run has the checkpoints that its heads have seen."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from snakeval.run.checkpoints import Seen
from snakeval.run.directory import RunDirectory

SEEN = Seen("/train/step-200", {"step": "200"}, "sha256:0", "1", 5.0, "100", True)


def test_what_was_seen_is_read_again(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.update_series(lambda there: {**there, "run7@200": SEEN})
    assert run.read_series() == {"run7@200": SEEN}
    data = json.loads(run.series.read_text())
    assert data["run7"]["200"]["same_as"] == "100"
    data["run7"]["200"]["newer"] = 1
    run.series.write_text(json.dumps(data))
    assert run.read_series() == {"run7@200": SEEN}


@pytest.mark.parametrize("content", [None, "", "[]", '{"run7": 1}', '{"run7": {"2": {"path": 1}}}'])
def test_a_damaged_file_has_none(tmp_path: Path, content: str | None) -> None:
    run = RunDirectory(tmp_path)
    if content is not None:
        run.series.parent.mkdir()
        run.series.write_text(content)
    assert run.read_series() == {}


def test_updates_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)

    def add(step: int) -> None:
        run.update_series(lambda there: {**there, f"run7@{step}": SEEN})

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(12)))
    assert len(run.read_series()) == 12
