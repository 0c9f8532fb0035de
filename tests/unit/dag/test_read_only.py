"""A dry run on a file system that it may not write to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.command import FAILS, says, workspace

#: Root writes to everything, except without these capabilities.
_RIGHTS = "-dac_override,-dac_read_search"
_AS_A_USER = (
    ["setpriv", f"--inh-caps={_RIGHTS}", f"--bounding-set={_RIGHTS}"] if os.geteuid() == 0 else []
)


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
    try:
        done = subprocess.run(
            [*_AS_A_USER, sys.executable, "-m", "snakeval", "run", "--config", "config.yaml", "-n"],
            cwd=work.directory,
            env=work.environment | {"SNAKEVAL_HOME": str(home), "TMPDIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        for path in (home, work.directory, *reversed(folders)):
            path.chmod(0o755)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "To do: 1 evaluate" in done.stderr
    assert "the run would fail: output_dir" in done.stderr
    assert not [*home.iterdir()]
    assert not [*tmp_path.glob("snakeval-*")]
