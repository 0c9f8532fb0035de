"""The note of the rows that a W&B run has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from snakeval.exporters.package import Package, Step
from snakeval.exporters.wandb_history import Logged


def package(directory: Path, *values: float) -> Package:
    found = tuple(Step(n, str(n), 0.0, {"b/acc": value}) for n, value in enumerate(values))
    return Package("run/r", directory, "", pd.DataFrame(), 1, 0, 0, series="r", steps=found)


def test_what_was_logged_is_known_at_the_next_export(tmp_path: Path) -> None:
    first = Logged.read(tmp_path, package(tmp_path, 0.5))
    assert first.steps == {}
    first.write(package(tmp_path, 0.5).steps)
    second = Logged.read(tmp_path, package(tmp_path, 0.5, 0.6))
    assert set(second.steps) == {"0"}
    assert second.key == first.key


def test_a_changed_score_is_for_another_run(tmp_path: Path) -> None:
    first = Logged.read(tmp_path, package(tmp_path, 0.5))
    first.write(package(tmp_path, 0.5).steps)
    changed = Logged.read(tmp_path, package(tmp_path, 0.7))
    assert (changed.steps, changed.key == first.key) == ({}, False)
    changed.write(package(tmp_path, 0.7).steps)
    assert Logged.read(tmp_path, package(tmp_path, 0.7)).key == changed.key


def test_a_damaged_note_is_none(tmp_path: Path) -> None:
    logged = Logged.read(tmp_path, package(tmp_path, 0.5))
    logged.path.write_text("{")
    assert Logged.read(tmp_path, package(tmp_path, 0.5)) == logged


def test_an_evaluation_has_no_note(tmp_path: Path) -> None:
    single = replace(package(tmp_path), series="", benchmark="b")
    logged = Logged.read(tmp_path, single)
    assert not logged.path.exists()
    assert logged.key == Logged.read(tmp_path, single).key
