"""Under plain Snakemake: pip does not outlive a head, and the same command finishes."""

from __future__ import annotations

import os
import signal
import zipfile
from pathlib import Path

import psutil

from support.drip import drip
from support.limits import HUNG
from support.machine import eventually, lines
from support.workspace import Workspace


def test_pip_ends_with_a_head_that_is_killed_or_hung_up(tmp_path: Path) -> None:
    with drip() as index:
        command = "python -c 'import slowthing' > {{ results }}/score.json"
        benchmark = {
            "harness": "generic",
            "command": command,
            "requirements": [f"slowthing @ {index.url}/slowthing-1.0-py3-none-any.whl"],
            "metrics": {"file": "score.json", "values": {"score": "score"}},
        }
        models = {"m": {"endpoint": {"url": "http://127.0.0.1:1/v1", "model_id": "m"}}}
        work = Workspace.below(
            tmp_path, runtime="process", models=models, benchmarks={"b": benchmark}
        )
        for end in (signal.SIGKILL, signal.SIGHUP):
            index.asked.clear()
            head = work.start()
            assert index.asked.wait(HUNG), "pip does not ask"
            below = psutil.Process(head.pid).children(recursive=True)
            assert any("slowthing" in line for line in lines(below))
            os.kill(head.pid, end)
            _, alive = psutil.wait_procs(below, timeout=HUNG)
            assert lines(alive) == []
            eventually(lambda: index.connections == 0, "something is still connected")
            head.communicate(timeout=HUNG)
        index.content = wheel(tmp_path / "slowthing-1.0-py3-none-any.whl")
        again = work.snakemake()
        assert (again.exit_code, again.evaluated) == (0, {"m/b"}), again.output
        assert work.table()["status"].to_dict() == {"m/b": "done"}


def wheel(path: Path) -> bytes:
    info = "slowthing-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("slowthing.py", "print('{\"score\": 1}')\n")
        made.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: slowthing\nVersion: 1.0\n")
        made.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        made.writestr(f"{info}/RECORD", "")
    return path.read_bytes()
