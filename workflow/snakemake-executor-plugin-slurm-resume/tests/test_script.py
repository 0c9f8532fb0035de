"""Commands before a job, in both kinds of scripts."""

from __future__ import annotations

import subprocess
from pathlib import Path

from support.limits import HUNG

from snakemake_executor_plugin_slurm_resume.script import render, snakemake_script


def both(tmp_path: Path, before: str, command: str) -> list[tuple[int, str]]:
    first = tmp_path / "the before.sh"
    first.write_text(before)
    found = []
    for text in (
        render(command, "/bin/bash", "t", tmp_path, {}, first),
        snakemake_script(command, "t", first),
    ):
        script = tmp_path / "job.sh"
        script.write_text(text)
        done = subprocess.run(["bash", str(script)], capture_output=True, text=True, timeout=HUNG)
        found.append((done.returncode, done.stdout))
    return found


def test_commands_before_a_job_set_its_environment(tmp_path: Path) -> None:
    before = 'export TMPDIR=/scratch/$USER_ID HF_HUB_OFFLINE=1\nexport QUOTES="it\'s"\n'
    command = 'echo "$TMPDIR $HF_HUB_OFFLINE $QUOTES"'
    assert both(tmp_path, f"USER_ID=7\n{before}", command) == [(0, "/scratch/7 1 it's\n")] * 2


def test_a_failure_before_a_job_ends_it(tmp_path: Path) -> None:
    assert both(tmp_path, "false\n", "echo ran") == [(1, "")] * 2


def test_a_job_without_commands_before_it_runs(tmp_path: Path) -> None:
    script = render("echo ran", "/bin/bash", "t", tmp_path, {})
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=HUNG)
    assert done.stdout == "ran\n"
