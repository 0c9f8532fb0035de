"""Commands of the runtime `process`, as tests run them."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Event

from snakeval.runtimes.process import connect
from snakeval.runtimes.spec import ContainerSpec


def spec(tmp_path: Path, *argv: str, packages: tuple[str, ...] = ()) -> ContainerSpec:
    name = f"snakeval-test-{os.getpid()}"
    return ContainerSpec(name, "", argv, str(tmp_path), packages=packages, grace=1)


def run(what: ContainerSpec, tmp_path: Path) -> str:
    with (tmp_path / "log").open("w+b") as log:
        assert connect().run(what, log, Event()).exit_code == 0
        log.seek(0)
        return log.read().decode()
