"""One `snakeval run` loads and checks its configuration once, in all of its processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from support.configs import VALID, write

#: Python imports it at its start. It notes which process checks a configuration.
NOTES_CHECKS = """
import os, sys
from snakeval.config.config import Config
check = Config.model_validate
def noted(data):
    with open(os.environ["NOTES"], "a") as file:
        print(os.path.basename(sys.argv[0]), file=file)
    return check(data)
Config.model_validate = noted
"""


def checks(directory: Path, *command: str) -> list[str]:
    """Run a command; return the processes that checked a configuration."""
    (directory / "python").mkdir(exist_ok=True)
    (directory / "python/sitecustomize.py").write_text(NOTES_CHECKS)
    notes = directory / "notes"
    notes.write_text("")
    environment = os.environ | {
        "NOTES": str(notes),
        "PYTHONPATH": str(directory / "python"),
        "SNAKEVAL_HOME": str(directory / "home"),
    }
    done = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 evaluate" in done.stdout + done.stderr
    return notes.read_text().split()


def test_one_command_checks_its_configuration_once(tmp_path: Path) -> None:
    write(tmp_path, VALID)
    snakeval, snakemake = (
        str(Path(sys.executable).with_name(n)) for n in ("snakeval", "snakemake")
    )
    assert checks(tmp_path, snakeval, "run", "--config", "c.yaml", "--dry-run") == ["snakeval"]
    (saved,) = (tmp_path / "home/composed").iterdir()
    assert yaml.safe_load(saved.read_text())["models"] == VALID["models"]
    snakefile = str(Path(__file__).parents[2] / "Snakefile")
    command = (snakemake, "-n", "--snakefile", snakefile, "--configfile", str(saved))
    profile = str(Path(__file__).parents[2] / "profiles/local")
    assert checks(tmp_path, *command, "--profile", profile) == ["snakemake"]
