"""Processes are found by a variable in their environment."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from snakeval.runtimes.marked import MARK, marked
from support.served import wait_for


def test_a_process_that_replaces_its_program_is_found_at_every_moment(tmp_path: Path) -> None:
    again = tmp_path / "again"
    again.write_text('#!/bin/sh\nexec "$0"\n')
    again.chmod(0o755)
    name = tmp_path.name
    process = subprocess.Popen([again], env={MARK: name, "PATH": os.environ["PATH"]})
    try:
        wait_for(lambda: marked([name]), "its start")
        looks = {tuple(marked([name])) for _ in range(300)}
    finally:
        process.kill()
        process.wait()
    assert looks == {((process.pid, name),)}


def test_a_process_without_variables_has_no_mark() -> None:
    with subprocess.Popen(["/bin/cat"], env={}, stdin=subprocess.PIPE) as process:
        assert process.pid not in [pid for pid, _ in marked()]
        assert process.stdin
        process.stdin.close()
