"""`make demo`: what a newcomer sees first, and the second time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from snakeval.demo.behaviour import MODELS
from snakeval.demo.items import benchmarks, expected_score
from support.engine import containers_of
from support.limits import HUNG
from support.workspace import REPOSITORY


def demo(directory: Path) -> str:
    directed = ("--directory", str(directory))
    done = subprocess.run(
        [*(sys.executable, "-m", "snakemake"), "--profile", "profiles/local", *directed],
        cwd=REPOSITORY,
        env={**os.environ, "SNAKEVAL_HOME": str(directory / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=HUNG,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.images
def test_the_demo_ends_with_the_table_and_a_second_one_has_nothing_to_do(tmp_path: Path) -> None:
    output = demo(tmp_path)
    rows = re.findall(r"^\| (\w+) +\| (\w+) +\| exact_match .*?\| (\d\.\d+)", output, re.MULTILINE)
    assert {(model, name): float(value) for model, name, value in rows} == {
        (model, name): expected_score(model, name) for model in MODELS for name in benchmarks()
    }
    assert "Model loads: 2 (careful 1, sloppy 1)" in output
    (run,) = tmp_path.glob("results/*-*")
    assert not containers_of(run)
    assert "Nothing to be done" in demo(tmp_path)
