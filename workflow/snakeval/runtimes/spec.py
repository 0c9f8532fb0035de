"""Describes one container to run, independent of the runtime and the machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from snakeval.errors import EvaluationError
from snakeval.runtimes.lifeline import _GO, exports, guarded

#: The path of the directory of results within a container.
CONTAINER_RESULTS = "/results"
#: The prefix of the paths in a container whose user may not write to its root directory.
WRITABLE_ROOT = "/tmp/snakeval"


@dataclass(frozen=True, slots=True)
class Mount:
    """A host path and its path in the container."""

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container to run.

    Attributes:
        env: name -> value of variables that are not secret.
        secrets: name in the container -> name of the variable here that has the value.
        cpus, mem_mb, shm_mb: limits, or None; mem_mb and shm_mb are MiB.
        gpus: how many GPUs the container sees.
        grace: seconds between SIGTERM and SIGKILL of a stop.
        requirements: pinned requirements file for a runtime without images, or empty.
        packages: pinned packages for a runtime without images.
        gpu_ids: the GPUs that the container sees, by number or UUID, instead of ``gpus``.
        entry_point: whether argv are arguments of the image's own entry point. If argv is empty,
            the image's own arguments replace it.
        environ: the variables of which secrets are read and that a process inherits; None means
            the variables of this process.
        withheld: the variables of ``environ`` that a process does not inherit.
        keep: open files that the container's process keeps until it ends, such as the locks of its
            GPUs, in a runtime that starts a process of this machine.
    """

    name: str
    image: str
    argv: tuple[str, ...]
    workdir: str
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    network: str = "host"
    cpus: int | None = None
    mem_mb: int | None = None
    shm_mb: int | None = None
    gpus: int = 0
    grace: int = 10
    requirements: str = ""
    packages: tuple[str, ...] = ()
    gpu_ids: tuple[str, ...] = ()
    entry_point: bool = False
    environ: Mapping[str, str] | None = field(default=None, repr=False)
    keep: tuple[int, ...] = ()
    withheld: tuple[str, ...] = ()

    @property
    def surroundings(self) -> Mapping[str, str]:
        """The variables of ``environ``, or of this process if it is None."""
        return os.environ if self.environ is None else self.environ

    def secret_values(self) -> dict[str, str]:
        """Return the values of the secrets whose variables are set."""
        values = self.surroundings
        return {inside: values[here] for inside, here in self.secrets.items() if here in values}

    def secret_assignments(self) -> str:
        """Return shell assignments that pass the secrets to the command after them."""
        return "".join(f'{inside}="${{{here}-}}" ' for inside, here in self.secrets.items())

    def with_visible_gpus(self) -> dict[str, str]:
        """Return ``env``, with the variables by which CUDA sees the GPUs of ``gpu_ids`` only.

        Numbers are those of ``nvidia-smi``. CUDA's own order may differ on a machine with several
        kinds of GPUs.
        """
        if not self.gpu_ids:
            return dict(self.env)
        visible = {"CUDA_VISIBLE_DEVICES": ",".join(self.gpu_ids)}
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", **self.env, **visible}

    def completed(self, image: Mapping[str, Any]) -> ContainerSpec:
        """Return the spec with the whole command, from the configuration of its *image*.

        Raises:
            EvaluationError: neither the spec nor the image has a command.
        """
        argv = (*(image.get("Entrypoint") or ()), *(self.argv or image.get("Cmd") or ()))
        if not argv:
            raise EvaluationError(f"image {self.image} has no command; write `command`")
        return replace(self, argv=argv, entry_point=False)

    def guarded(self) -> tuple[str, ...]:
        """Return the command with its :data:`LIFELINE`."""
        return guarded(self.argv, self.grace)

    def greeting(self, *, secrets: bool = True, env: Mapping[str, str] | None = None) -> bytes:
        """Return the text that :data:`LIFELINE` reads first; the stream must then stay open.

        *env* is for runtimes whose own options cannot pass every value unchanged.
        """
        values = {**(env or {}), **(self.secret_values() if secrets else {})}
        return f"{exports(values)}{_GO}\n".encode()
