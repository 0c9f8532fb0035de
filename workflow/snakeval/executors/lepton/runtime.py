"""Lepton as a container runtime, only to define a container for it."""

from __future__ import annotations

from threading import Event
from typing import IO

from snakeval.runtimes import Outcome, Report
from snakeval.runtimes.command_line import by_hand
from snakeval.runtimes.spec import WRITABLE_ROOT, ContainerSpec


class LeptonRuntime:
    """The harness sees mount targets, whether this machine has a container engine or not.

    It runs nothing itself: that is the executor's.
    """

    name = "lepton"
    isolated = True
    host = "127.0.0.1"
    #: Results and inputs are below it: any user of an image may write there.
    root = WRITABLE_ROOT

    def has(self, spec: ContainerSpec) -> bool:
        """Return False: this machine does not know whether the platform has the image."""
        return False

    def prepare(self, spec: ContainerSpec, report: Report) -> str:
        """Do nothing: the platform pulls the image, and does not report the digest."""
        return ""

    def run(self, spec: ContainerSpec, log: IO[bytes], stop: Event) -> Outcome:
        """Raise an error: the executor runs the jobs."""
        raise NotImplementedError("jobs are the executor's")

    def shell(self, spec: ContainerSpec) -> str:
        """By hand the same runs in Docker."""
        return by_hand(spec, "docker", None)
