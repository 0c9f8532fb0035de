"""Old names and formats: edited profiles, queued jobs and runs on disk still use them."""

from __future__ import annotations

import re
import sys

import pytest

from support import forks
from support.limits import HUNG
from support.workspace import REPOSITORY


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("snakeval.evaluate", "snakeval.jobs.evaluate"),
        ("snakeval.explain", "snakeval.cli.explain"),
        ("snakeval.lepton", "snakeval.executors.lepton"),
    ],
)
def test_an_old_module_name_runs_the_new_module(old: str, new: str) -> None:
    done = forks.finished([sys.executable, "-m", old, "--help"], timeout=HUNG)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:4] == ["usage:", "python", "-m", new]


def test_the_decision_lists_each_reader_of_an_old_format() -> None:
    page = "docs/decisions/6-old-formats.md"
    package = REPOSITORY / "workflow/snakeval"
    marked = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if page in path.read_text(encoding="utf-8")
    }
    rows = re.findall(r"^\| `.*", (REPOSITORY / page).read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`([\w/]+\.py)`", row)} == marked
