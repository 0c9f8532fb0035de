"""Models that the tests deploy, the benchmarks that ask them, and what is left afterwards."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker
import psutil

from snakeval.demo.ledger import Recorded, read_ledger
from support.limits import HUNG
from support.workspace import REPOSITORY, Workspace

IMAGE = "snakeval/lm-eval:0.4.13"  # any with Python

#: Asks the model so many sums one after the other; answers that it has are not asked for again.
#: Before one of them it may wait for a file.
_HARNESS = """\
import json, pathlib, sys, time, urllib.request
url, model, seed, count, pause, stays_at, go, results = sys.argv[1:]
cache = pathlib.Path(results, "cache")
cache.mkdir(exist_ok=True)
right = 0
for number in range(int(count)):
    while number == int(stays_at) and not pathlib.Path(go).exists():
        time.sleep(0.05)
    kept = cache / f"{number}.json"
    if not kept.exists():
        a, b = 10 + int(seed) % 83, 3 + number % 17
        message = {"role": "user", "content": f"What is {a} + {b}? [{seed}/{number}]"}
        body = json.dumps({"model": model, "messages": [message]}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = json.load(answer)["choices"][0]["message"]["content"]
        draft = kept.with_suffix(".new")
        draft.write_text(json.dumps([text, a + b]))
        draft.rename(kept)
        time.sleep(float(pause))
    said, sum_ = json.loads(kept.read_text())
    right += str(sum_) in said
pathlib.Path(results, "score.json").write_text(json.dumps({"score": right / int(count)}))
"""


class Served:
    """A workspace whose models are deployed as containers or processes."""

    def __init__(self, directory: Path, runtime: str, *models: str, **deployment: Any) -> None:
        self.work = Workspace.below(directory, runtime=runtime, resources={})
        self.shared = directory / "shared"
        self.shared.mkdir()
        self.ledger = self.shared / "ledger"
        self.trouble = self.shared / "trouble"
        self.runtime = runtime
        (self.shared / "harness.py").write_text(_HARNESS)
        self.deployment = {
            "kind": "generic",
            "image": IMAGE,
            "shm_mb": 64,
            "command": (
                "exec python3 -m snakeval.demo.server --host {{ host }} --port {{ port }} "
                "--models {{ served_model_name }} "
                f"--ledger {self.ledger} --fail-while {self.trouble}"
            ),
            "mounts": [
                {"source": str(REPOSITORY / "workflow"), "target": "/demo"},
                {"source": str(self.shared), "target": str(self.shared), "read_only": False},
            ],
            "set_env": {"PYTHONPATH": "/demo"},
        } | deployment
        self.work.config["models"] = {m: {"deployment": self.deployment} for m in models}
        self.work.config["benchmarks"] = {}

    def asks(
        self, name: str, seed: int, count: int = 4, pause: float = 0.0, stays_at: int = -1
    ) -> None:
        """Add a benchmark that asks `count` questions of its own, with a pause after each.

        Before the question `stays_at` it waits until `go` is called.
        """
        self.work.config["benchmarks"][name] = {
            "harness": "generic",
            "image": IMAGE,
            "command": (
                f"exec python3 {self.shared}/harness.py "
                "{{ url }} {{ model_id }} "
                f"{seed} {count} {pause} {stays_at} {self.shared}/go "
                "{{ results }}"
            ),
            "metrics": {"file": "score.json", "values": {"score": "score"}},
            "mounts": [{"source": str(self.shared), "target": str(self.shared)}],
        }

    def go(self) -> None:
        """Let the harnesses go on that wait."""
        (self.shared / "go").touch()

    @property
    def recorded(self) -> Recorded:
        """What the servers loaded and answered, over all their lives."""
        return read_ledger(self.ledger)

    def scores(self, run: Path | None = None) -> dict[str, float]:
        """The score of each evaluation; all must be done."""
        table = self.work.table(run)
        assert set(table["status"]) == {"done"}, table[["status", "reason"]]
        return dict(table["value"])

    # --- who is who -----------------------------------------------------------------------

    def processes(self) -> list[psutil.Process]:
        """Every process of this workspace on this machine, but containers'."""
        return self.work.processes()

    def containers(self) -> list[Any]:
        """Every container, running or not, that mounts something of this workspace."""
        if self.runtime != "docker":
            return []
        return [
            container
            for container in docker.from_env().api.containers(all=True)
            if any(m.get("Source") == str(self.shared) for m in container["Mounts"])
        ]

    def named(self, *words: str) -> list[psutil.Process]:
        """The processes of this workspace whose command line has all of the words."""
        found = []
        for process in self.processes():
            try:
                line = process.cmdline()
            except psutil.Error:
                continue
            if all(any(word in part for part in line) for word in words):
                found.append(process)
        return found

    def programs(self, module: str) -> list[psutil.Process]:
        """The processes that run a module of Python, not the shells around them."""
        return [each for each in self.named(module) if _runs(each, module)]

    @property
    def server(self) -> psutil.Process:
        """The one server itself, not the shells around it."""
        (server,) = self.programs("snakeval.demo.server")
        return server

    def left(self) -> list[str]:
        """What is left of it: processes and containers."""
        return [
            *(f"process {p.pid}: {' '.join(p.cmdline())[:200]}" for p in self.processes()),
            *(f"container {c['Names']} {c['State']}" for c in self.containers()),
        ]

    def leases(self) -> list[Path]:
        """The leases of its evaluations; a killed job's stays until the next attempt."""
        return [*self.work.directory.glob("results/*/*/*/.snakeval/lease*")]

    def nothing_is_left(self, seconds: float = HUNG) -> None:
        until = time.monotonic() + seconds
        while left := _still(self.left):
            assert time.monotonic() < until, "\n".join(left)
            time.sleep(0.2)


def _still(left: Callable[[], list[str]]) -> list[str]:
    try:
        return left()
    except psutil.NoSuchProcess:
        return ["a process that ends right now"]


def _runs(process: psutil.Process, module: str) -> bool:
    try:
        return process.cmdline()[1:3] == ["-m", module]
    except psutil.Error:
        return False


def wait_for(condition: Callable[[], object], what: str, seconds: float = HUNG) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.05)


def kill_9(process: psutil.Process) -> None:
    os.kill(process.pid, 9)
