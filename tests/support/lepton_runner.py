"""Runs the jobs of Lepton's stand-in as processes, each with a /results of its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from standin.runner import Container, ProcessRunner, Workload

_RESULTS = Path("/results")


class PrivateRunner(ProcessRunner):
    """A harness writes to /results, which processes would share. Needs root, to mount."""

    def __init__(self) -> None:
        super().__init__()
        self._made = not _RESULTS.exists()
        _RESULTS.mkdir(exist_ok=True)

    def start(self, container: Container) -> Workload:
        script = 'mount -t tmpfs none /results && exec "$@"'
        words = ["unshare", "--mount", "sh", "-c", script, "sh", *container.command]
        return super().start(replace(container, command=words))

    def close(self) -> None:
        super().close()
        if self._made:
            _RESULTS.rmdir()
