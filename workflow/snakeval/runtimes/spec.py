"""What to run: one container, described without knowing what starts it or where.

Renders shell text too, so that a person can run the same thing by hand.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from snakeval.errors import EvaluationError
from snakeval.runtimes.lifeline import _GO, LIFELINE, exports


@dataclass(frozen=True, slots=True)
class Mount:
    """A host path and where the harness finds it."""

    source: str
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """One container run.

    Attributes:
        env: names and values that may be seen by anybody.
        secrets: names inside -> names of environment variables here that hold the values.
        cpus, mem_mb, shm_mb: limits; None for none. mem_mb and shm_mb are MiB.
        gpus: how many GPUs it sees.
        grace: seconds between SIGTERM and SIGKILL when it is stopped.
        requirements: pinned requirements file for a runtime without images, or empty.
        packages: pinned packages to the same end.
        gpu_ids: the GPUs that it sees, by number or UUID; instead of ``gpus``.
        entry_point: argv are arguments of the image's own entry point; without any, the image's
            own arguments count.
        environ: the variables that secrets come from, and all that a process inherits; None for
            those of this process.
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

    @property
    def surroundings(self) -> Mapping[str, str]:
        """What ``environ`` means."""
        return os.environ if self.environ is None else self.environ

    def secret_values(self) -> dict[str, str]:
        """Read the secrets; one whose variable is unset is left out."""
        values = self.surroundings
        return {inside: values[here] for inside, here in self.secrets.items() if here in values}

    def secret_assignments(self) -> str:
        """What in a shell gives the command after it the secrets, by their names inside."""
        return "".join(f'{inside}="${{{here}-}}" ' for inside, here in self.secrets.items())

    def completed(self, image: Mapping[str, Any]) -> ContainerSpec:
        """Return the same with its whole command, as the configuration of its *image* says it.

        Raises:
            EvaluationError: there is nothing to run.
        """
        argv = (*(image.get("Entrypoint") or ()), *(self.argv or image.get("Cmd") or ()))
        if not argv:
            raise EvaluationError(f"image {self.image} names nothing to run; write `command`")
        return replace(self, argv=argv, entry_point=False)

    def guarded(self) -> tuple[str, ...]:
        """The command under its :data:`LIFELINE`."""
        return ("sh", "-c", LIFELINE, "snakeval", str(self.grace), *self.argv)

    def greeting(self, *, secrets: bool = True, env: Mapping[str, str] | None = None) -> bytes:
        """What :data:`LIFELINE` reads first; the stream must then stay open.

        *env* is for runtimes whose own options could not hand every value over unchanged.
        """
        values = {**(env or {}), **(self.secret_values() if secrets else {})}
        return f"{exports(values)}{_GO}\n".encode()
