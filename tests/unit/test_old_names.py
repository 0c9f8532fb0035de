"""Module names of the last release: edited profiles and queued jobs still use them."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("snakeval.evaluate", "snakeval.jobs.evaluate"),
        ("snakeval.explain", "snakeval.cli.explain"),
        ("snakeval.lepton", "snakeval.executors.lepton"),
    ],
)
def test_an_old_module_name_runs_the_new_module(old: str, new: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", old, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:4] == ["usage:", "python", "-m", new]
