"""A directory with a configuration, and a Snakemake that runs nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.cli.launch import snakemake_process
from snakeval.dag.handover import Offer
from support.configs import VALID, write


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    write(tmp_path, VALID)
    return tmp_path


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines that were run; nothing runs."""
    lines: list[list[str]] = []

    def run(argv: list[str], offer: Offer, resume: str) -> int:
        lines.append(argv)
        return 0

    monkeypatch.setattr(snakemake_process, "run", run)
    return lines
