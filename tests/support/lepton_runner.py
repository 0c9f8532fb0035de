"""Runs the jobs of Lepton's stand-in as processes, each with results of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from standin.runner import Container, ProcessRunner, Workload

from snakeval.executors.lepton.runtime import LeptonRuntime

_ROOT = Path(LeptonRuntime.root)


class PrivateRunner(ProcessRunner):
    """Harnesses write to one directory, which processes would share. Needs root, to mount."""

    def __init__(self) -> None:
        super().__init__()
        self._made = not _ROOT.exists()
        _ROOT.mkdir(exist_ok=True)

    def start(self, container: Container) -> Workload:
        script = f'mount -t tmpfs none {_ROOT} && exec "$@"'
        words = ["unshare", "--mount", "sh", "-c", script, "sh", *container.command]
        return super().start(replace(container, command=words))

    def close(self) -> None:
        super().close()
        if self._made:
            _ROOT.rmdir()
