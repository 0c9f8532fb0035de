"""A dry run on a file system that it may not write to."""

from __future__ import annotations

import sys
from pathlib import Path

from support import forks
from support.command import FAILS, says, workspace
from support.limits import HUNG

#: Root writes to everything, except without these capabilities (CAP_DAC_OVERRIDE and
#: CAP_DAC_READ_SEARCH). Each process drops them first, for itself and for what it starts.
AS_A_USER = """
import ctypes, os
if os.geteuid() == 0:
    libc = ctypes.CDLL(None)
    version, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(version, sets) == 0
    for capability in (1, 2):
        assert libc.prctl(24, capability, 0, 0, 0) == 0  # PR_CAPBSET_DROP
        for each in range(3):  # effective, permitted and inheritable
            sets[each] &= ~(1 << capability)
    assert libc.capset(version, sets) == 0
"""


def test_a_dry_run_of_an_unfinished_run_requires_no_right_to_write(tmp_path: Path) -> None:
    work = workspace(tmp_path, good=says(0.5), bad=FAILS)
    assert work.snakemake("--retries", "0").exit_code == 1
    folders = [path for path in work.directory.rglob("*") if path.is_dir()]
    files = [p for p in work.directory.rglob("*") if p.is_file() and not p.is_symlink()]
    for path in (*files, *folders, work.directory):
        path.chmod(path.stat().st_mode & ~0o222)
    home = tmp_path / "another-home"
    home.mkdir()
    home.chmod(0o500)
    environment = work.environment | {"SNAKEVAL_HOME": str(home), "TMPDIR": str(tmp_path)}
    try:
        done = forks.finished(
            [sys.executable, "-m", "snakeval", "run", "--config", "config.yaml", "-n"],
            cwd=work.directory,
            env=forks.with_first(environment, tmp_path / "first", AS_A_USER),
            timeout=HUNG,
        )
    finally:
        for path in (home, work.directory, *reversed(folders)):
            path.chmod(0o755)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "To do: 1 evaluate" in done.stderr
    assert "the run would fail: output_dir" in done.stderr
    assert not [*home.iterdir()]
    assert not [*tmp_path.glob("snakeval-*")]
