"""Container runtimes: docker, podman, apptainer, pyxis, and ``process`` without a container.

A runtime is a small protocol. A package adds a runtime with the entry-point group
``snakeval.runtimes``: a module, or an object, whose ``connect()`` returns the runtime.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import IO, Protocol

from snakeval import plugins
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
    """Starts containers and waits for them.

    Attributes:
        name: the runtime's name in configurations.
        isolated: whether the harness sees mount targets (true) or host paths (false).
        host: the name by which a bridged container reaches this machine.

    A runtime with a bridge may also have ``bridge_address()``: the address of this machine at which
    bridged containers reach it. The ledger's gateway listens there.
    """

    name: str
    isolated: bool
    host: str

    def has(self, spec: ContainerSpec) -> bool:
        """Return whether *spec* can start now, without a pull or an installation."""

    def prepare(self, spec: ContainerSpec, report: Report) -> str:
        """Provide the image or the environment, and send the progress to *report*.

        Returns the image's digest, or an empty string without an image.
        """

    def run(self, spec: ContainerSpec, log: IO[bytes], stop: Event) -> Outcome:
        """Run *spec* to its end, and stream its output to *log*.

        When *stop* is set, the container gets SIGTERM and later SIGKILL. Nothing of the container
        remains in any case.
        """

    def shell(self, spec: ContainerSpec) -> str:
        """Return shell text with which a person can run *spec*."""


def connect(name: str) -> Runtime:
    """Return the runtime *name*.

    Raises:
        EvaluationError: the runtime's engine does not answer, or no runtime has that name.
    """
    try:
        runtime: Runtime = plugins.load(plugins.RUNTIMES, name).connect()
    except ConfigError as error:
        raise EvaluationError(str(error)) from None
    return runtime


def choose(wanted: str, image: str, installable: bool) -> tuple[Runtime, str]:
    """Return the runtime for a harness, and a sentence with the reason.

    ``auto`` chooses the first of docker, podman, apptainer and, in a Slurm job, pyxis that answers.
    If ``process`` can run the harness (*installable*), the engine must already have the image;
    otherwise ``process`` is the choice.

    Raises:
        EvaluationError: no runtime on this machine can run the harness.
    """
    if wanted != "auto":
        return connect(wanted), f"runtime: {wanted} (as configured)"
    if not image:
        return connect("process"), "runtime: process (auto: no image is configured)"
    reasons, lacking = [], []
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
        lacking.append(f"{name} has no image {image}")
    if installable:
        # `doctor` lists why each engine does not answer.
        why = "; ".join(lacking) or "no container engine; details: snakeval doctor"
        return connect("process"), f"runtime: process ({why})"
    raise EvaluationError(f"nothing here can run {image}: {'; '.join(reasons)}; start an engine")


def _image_only(image: str) -> ContainerSpec:
    return ContainerSpec("", image, (), "")
