"""Runs containers with podman's command line, which requires no running engine."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from threading import Event
from typing import IO, Any

from snakeval.errors import EvaluationError
from snakeval.files import json_value
from snakeval.processes import run_child
from snakeval.runtimes import Outcome, Report, blocking, images
from snakeval.runtimes.addresses import default_address
from snakeval.runtimes.command_line import by_hand, command_line
from snakeval.runtimes.spec import ContainerSpec


def connect() -> Podman:
    """Find podman on the PATH.

    Raises:
        EvaluationError: podman is missing or does not work.
    """
    if shutil.which("podman") is None:
        raise EvaluationError("there is no podman on the PATH", hint="install it")
    answer = _podman("version", "--format", "json")
    if answer.code != 0:
        raise EvaluationError(f"podman does not work here: {answer.problem}")
    return Podman()


# Rootless podman leaves a process that holds its namespace, for containers of all commands.
def _podman(*arguments: str, in_any_case: bool = False) -> blocking.Answer:
    words = ["podman", *arguments]
    return blocking.answer(words, seconds=120, in_any_case=in_any_case, has_daemons=True)


def _image(spec: ContainerSpec) -> dict[str, Any]:
    """Return podman's description of the image; empty if the image is missing."""
    inspected = _podman("image", "inspect", spec.image)
    if inspected.code != 0:
        return {}
    found: list[dict[str, Any]] = json_value(inspected.output.encode())
    return found[0] if found else {}


class Podman:
    """See :class:`snakeval.runtimes.Runtime`."""

    name = "podman"
    isolated = True
    host = "host.containers.internal"

    @property
    def user(self) -> str:
        """The caller as ``UID:GID``."""
        return f"{os.getuid()}:{os.getgid()}"

    def bridge_address(self) -> str:
        """Return the address at which bridged containers reach this machine."""
        if os.getuid() != 0:
            return default_address()  # the bridge of rootless podman is in its own namespace
        inspected = _podman("network", "inspect", "podman")
        if inspected.code == 0:
            for network in json_value(inspected.output.encode()):
                for subnet in network.get("subnets") or ():
                    if address := subnet.get("gateway"):
                        return str(address)
        return default_address()

    def has(self, spec: ContainerSpec) -> bool:
        """Return whether podman has the image."""
        return _podman("image", "exists", spec.image).code == 0

    def prepare(self, spec: ContainerSpec, report: Report) -> str:
        """Pull a missing image."""
        if not self.has(spec):
            report(f"pulling {spec.image}")
            images.obtain(spec, ["podman", "pull", spec.image], report, "pulled", has_daemons=True)
        return str(_image(spec).get("Digest") or "")

    def run(self, spec: ContainerSpec, log: IO[bytes], stop: Event) -> Outcome:
        """Run *spec* in the foreground; podman forwards SIGTERM to the container."""
        self._remove(spec.name)
        if spec.entry_point:
            spec = spec.completed(_image(spec).get("Config") or {})
        words = command_line(spec, "podman", self.user, guarded=True)
        # Podman's monitor reports the kernel's kill as a file `oom` in its working directory.
        # Podman itself knows nothing afterwards, since the container removes itself.
        with tempfile.TemporaryDirectory(prefix="snakeval-") as place:
            try:
                exit_code = run_child(
                    words, log, stop, grace=spec.grace, stdin=spec.greeting(), cwd=place
                )
                killed = Path(place, "oom").exists()
                return Outcome(exit_code, killed)
            finally:
                self._remove(spec.name)

    def _remove(self, name: str) -> None:
        _podman("rm", "--force", "--time", "0", name, in_any_case=True)

    def shell(self, spec: ContainerSpec) -> str:
        """Return ``podman run …``."""
        return by_hand(spec, "podman", self.user)
