"""One `snakeval run` loads and checks its configuration once, in all of its processes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import yaml

from support import forks
from support.configs import VALID, write
from support.limits import HUNG

#: Each process runs it first, and notes that. It then notes that it checks a configuration.
NOTES_CHECKS = """
import os, sys
from pathlib import Path
from snakeval.config.config import Config
def note(what):
    with open(os.environ["NOTES"], "a") as file:
        print(what, next(Path(w).name for w in sys.orig_argv[1:] if w != "-m"), file=file)
note("starts")
check = Config.model_validate
def noted(data):
    note("checks")
    return check(data)
Config.model_validate = noted
"""


def steps(directory: Path, *command: str) -> list[str]:
    """Run a command; return which of its processes started, and which checked a configuration."""
    notes = directory / "notes"
    notes.write_text("")
    variables = {"NOTES": str(notes), "SNAKEVAL_HOME": str(directory / "home")}
    environment = forks.with_first(os.environ | variables, directory / "python", NOTES_CHECKS)
    done = forks.finished(command, cwd=directory, env=environment, timeout=HUNG)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 evaluate" in done.stdout + done.stderr
    return notes.read_text().splitlines()


def test_one_command_checks_its_configuration_once(tmp_path: Path) -> None:
    write(tmp_path, VALID)
    snakeval, snakemake = (
        str(Path(sys.executable).with_name(n)) for n in ("snakeval", "snakemake")
    )
    assert steps(tmp_path, snakeval, "run", "--config", "c.yaml", "--dry-run") == [
        "starts snakeval",
        "checks snakeval",
        "starts snakemake",
    ]
    (saved,) = (tmp_path / "home/composed").iterdir()
    assert yaml.safe_load(saved.read_text())["models"] == VALID["models"]
    snakefile = str(Path(__file__).parents[2] / "Snakefile")
    command = (snakemake, "-n", "--snakefile", snakefile, "--configfile", str(saved))
    profile = str(Path(__file__).parents[2] / "profiles/local")
    assert steps(tmp_path, *command, "--profile", profile) == [
        "starts snakemake",
        "checks snakemake",
    ]
