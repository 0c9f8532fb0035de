"""What starts a container: docker, podman, apptainer, pyxis; or ``process``, without one.

A runtime is a small protocol. A package adds one with the entry-point group
``snakeval.runtimes``: a module, or an object, whose ``connect()`` returns it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import IO, Protocol

from snakeval.catalogue import plugins
from snakeval.errors import ConfigError, EvaluationError
from snakeval.runtimes.spec import ContainerSpec

Report = Callable[[str], None]

#: The built-in runtimes that run nothing without an image.
NEED_IMAGES = frozenset({"docker", "podman", "apptainer", "pyxis"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a container run ended."""

    exit_code: int
    out_of_memory: bool = False


class Runtime(Protocol):
    """What starts a container.

    ``isolated`` says whether the harness sees mount targets (true) or host paths (false), and
    ``host`` is the name by which a bridged container reaches this machine.
    """

    name: str
    isolated: bool
    host: str

    def has(self, spec: ContainerSpec) -> bool:
        """Whether *spec* could start now, without a pull or an installation."""

    def prepare(self, spec: ContainerSpec, report: Report) -> str:
        """Get the image or the environment, telling *report* of progress.

        Returns the image's digest, or nothing where there is no image.
        """

    def run(self, spec: ContainerSpec, log: IO[bytes], stop: Event) -> Outcome:
        """Run to the end, streaming output to *log*; when *stop* is set, SIGTERM, then SIGKILL.

        Whatever happens, nothing of the container is left.
        """

    def shell(self, spec: ContainerSpec) -> str:
        """Return shell text that a person can run to the same effect."""


def connect(name: str) -> Runtime:
    """Return the runtime *name*.

    Raises:
        EvaluationError: its engine does not answer, or there is no such runtime.
    """
    try:
        runtime: Runtime = plugins.load(plugins.RUNTIMES, name).connect()
    except ConfigError as error:
        raise EvaluationError(str(error)) from None
    return runtime


def choose(wanted: str, image: str, installable: bool) -> tuple[Runtime, str]:
    """Return the runtime for a harness, and for ``auto`` a sentence that says why.

    ``auto`` takes the first of docker, podman, apptainer and, in a Slurm job, pyxis that answers
    and either has the image or is the only way; else ``process``, where it can run the harness
    (*installable*).

    Raises:
        EvaluationError: nothing here can run it.
    """
    if wanted != "auto":
        return connect(wanted), f"runtime: {wanted} (as configured)"
    if not image:
        return connect("process"), "runtime: process (auto: no image is named)"
    reasons = []
    for name in ("docker", "podman", "apptainer", "pyxis"):
        if name == "pyxis" and not os.environ.get("SLURM_JOB_ID"):
            continue
        try:
            engine = connect(name)
        except EvaluationError as error:
            reasons.append(str(error))
            continue
        if not installable or engine.has(_image_only(image)):
            return engine, f"runtime: {name} (auto: it answers)"
        reasons.append(f"{name} has no image {image}")
    if installable:
        return connect("process"), f"runtime: process (auto: {'; '.join(reasons)})"
    raise EvaluationError(f"nothing here can run {image}: {'; '.join(reasons)}; start an engine")


def _image_only(image: str) -> ContainerSpec:
    return ContainerSpec("", image, (), "")
