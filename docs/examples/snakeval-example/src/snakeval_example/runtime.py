"""The runtime ``nice``: runs a harness as a process with low priority.

A runtime is an object with the names of ``snakeval.runtimes.Runtime``; ``connect`` returns it.
This one is the built-in runtime ``process`` with another command line.
"""

from dataclasses import replace
from threading import Event
from typing import IO

from snakeval.runtimes import Outcome
from snakeval.runtimes.process import Process
from snakeval.runtimes.spec import ContainerSpec


def connect() -> "Nice":
    """Return the runtime. One with an engine raises EvaluationError if that does not answer."""
    return Nice()


class Nice(Process):
    """Runs each command with ``nice``."""

    name = "nice"

    def run(self, spec: ContainerSpec, log: IO[bytes], stop: Event) -> Outcome:
        """Run to the end; the process and all that it started are gone afterwards."""
        return super().run(_nice(spec), log, stop)

    def shell(self, spec: ContainerSpec) -> str:
        """Return the same for a person's shell."""
        return super().shell(_nice(spec))


def _nice(spec: ContainerSpec) -> ContainerSpec:
    return replace(spec, argv=("nice", "-n", "10", *spec.argv))
