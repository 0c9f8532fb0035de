"""Installed profiles in the directory of another workflow: they change only where its jobs run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from snakeval.cli.launch.installation import profiles
from support import forks
from support.limits import HUNG
from support.made import snakeval

#: Changes how Snakemake reruns, keeps or locks files; only a workflow may choose these.
OF_A_WORKFLOW = {"snakefile", "keep-incomplete", "nolock", "rerun-triggers", "configfile"}
#: Fails half-written the first time.
OTHER = """\
rule mine:
    output: "whole.txt"
    shell: "echo half >> {output}; test -e ready; echo rest >> {output}"
"""


@pytest.fixture
def other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    """The directory of another workflow, on a machine with snakeval's profiles installed."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    assert snakeval(capsys, "profiles", "install").exit_code == 0
    (tmp_path / "Snakefile").write_text(OTHER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def snakemake(*words: str) -> subprocess.CompletedProcess[str]:
    return forks.finished([sys.executable, "-m", "snakemake", *words], timeout=HUNG)


@pytest.mark.parametrize("name", ["local", "slurm", "lepton"])
def test_a_profile_has_no_key_that_changes_another_workflow(name: str) -> None:
    settings = yaml.safe_load((profiles() / name / "config.yaml").read_text())
    assert not OF_A_WORKFLOW & settings.keys()


def test_the_profile_for_slurm_plans_the_workflow_of_the_directory(other: Path) -> None:
    done = snakemake("--profile", "slurm", "-n")
    assert done.returncode == 0, done.stderr
    assert "To do: 1 mine" in done.stderr
    assert "evaluate" not in done.stderr


def test_a_rule_that_fails_half_written_reruns(other: Path) -> None:
    for code, text in ((1, None), (0, "half\nrest\n")):
        done = snakemake("--profile", "local")
        assert done.returncode == code, done.stderr
        whole = other / "whole.txt"
        assert (whole.read_text() if whole.exists() else None) == text
        (other / "ready").touch()
