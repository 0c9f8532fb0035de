"""How the jobs end when they are told to, from their first moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.served import wait_for

#: A module that is imported by both jobs, and takes its time.
SLOW = "import pathlib, time; pathlib.Path('imports').touch(); time.sleep(600)"


@pytest.mark.parametrize("job", ["snakeval.jobs.evaluate", "snakeval.jobs.deploy"])
def test_ctrl_c_while_a_job_is_importing_is_silent(tmp_path: Path, job: str) -> None:
    (tmp_path / "argparse.py").write_text(SLOW)
    process = subprocess.Popen(
        [sys.executable, "-m", job, "record.json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    wait_for((tmp_path / "imports").exists, "it does not start")
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=120)
    assert (process.returncode, output) == (130, "")


def test_what_starts_for_each_evaluation_or_server_imports_no_configuration() -> None:
    program = (
        "import sys, snakeval.jobs.evaluate, snakeval.jobs.deploy, snakeval.serving.supervisor\n"
        "import snakeval.ledger.__main__\n"
        "print(*{'pydantic', 'docker', 'pandas', 'yaml'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == [], "each of them takes longer to import than a whole job"
