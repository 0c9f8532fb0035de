"""Runs containers with Apptainer, or with Singularity 3.10 and newer.

Both have the same command line. https://apptainer.org/docs/user/main/ documents the options, mounts
and environment ("Bind Paths and Mounts", "Environment and Metadata", "Support for Docker and OCI
Containers"). The command lists the options behind ``--compat``, except ``--no-init``, since the
init forwards signals.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import IO

from snakeval.errors import EvaluationError
from snakeval.runtimes import Outcome, Report, blocking, images
from snakeval.runtimes.command_line import mount_option, wrapped
from snakeval.runtimes.marked import MARK, kill_leftovers, run_marked
from snakeval.runtimes.spec import ContainerSpec

#: The image's own entry point and arguments, as the conversion writes them.
_RUNSCRIPT = "/.singularity.d/runscript"
#: An image whose name contains its source.
_URI = re.compile(r"[a-z]+://|(docker-archive|docker-daemon|oci|oci-archive):")
#: The images as this runtime starts them.
_FILES = images.Files("apptainer", (".sif", ".sqsh"))
_VISIBLE = "CUDA_VISIBLE_DEVICES"


def connect() -> Apptainer:
    """Find apptainer, or otherwise singularity, on the PATH.

    Raises:
        EvaluationError: both are missing, or the program does not work or is too old.
    """
    for program in ("apptainer", "singularity"):
        if shutil.which(program) is not None:
            break
    else:
        raise EvaluationError(
            "there is no apptainer and no singularity on the PATH", hint="install one"
        )
    asked = blocking.answer([program, "exec", "--help"], seconds=60)
    if asked.code != 0:
        raise EvaluationError(f"{program} does not work here: {asked.problem}")
    if "--no-eval" not in asked.output:
        raise EvaluationError(
            f"{program} is too old (no --no-eval)",
            hint="install Apptainer 1.1, SingularityCE 3.10 or newer",
        )
    return Apptainer(program)


class Apptainer:
    """See :class:`snakeval.runtimes.Runtime`.

    Containers always have the network of this machine. They have no limits of their own; the Slurm
    job limits CPU and memory.
    """

    name = "apptainer"
    isolated = True
    host = "127.0.0.1"

    def __init__(self, program: str) -> None:
        self._program = program

    def has(self, spec: ContainerSpec) -> bool:
        """Return whether the image is converted, or is a file or directory of this machine."""
        return _FILES.has(spec.image)

    def prepare(self, spec: ContainerSpec, report: Report) -> str:
        """Convert a missing image, once even if two processes request it."""
        if not self.has(spec):
            _FILES.check(spec.image)
            target = _FILES.of(spec.image)
            images.convert(spec, target, lambda to: self._conversion(spec.image, to), report)
        return images.digest(spec.image)

    def _conversion(self, image: str, target: Path) -> list[str]:
        source = image if _URI.match(image) else f"docker://{image}"
        # `pull` reads images of the network, and `build` reads the formats of files.
        verb = "pull" if "://" in source else "build"
        return [self._program, verb, str(target), source]

    def run(self, spec: ContainerSpec, log: IO[bytes], stop: Event) -> Outcome:
        """Run *spec* in the foreground; apptainer forwards SIGTERM to the container."""
        kill_leftovers(spec.name)
        scratch = _scratch(spec)
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True, mode=0o700)
        own = {MARK: spec.name}
        try:
            return run_marked(
                spec,
                [*self._words(spec, scratch), *_with_entry_point(spec).guarded()],
                log,
                stop,
                stdin=spec.greeting(env={**_given(spec), **own}),
                env={**spec.surroundings, **own},
            )
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _words(self, spec: ContainerSpec, scratch: Path) -> list[str]:
        words = [
            *(self._program, "exec", "--containall", "--cleanenv", "--no-home"),
            *("--writable-tmpfs", "--no-eval", "--pwd", spec.workdir),
            # Without it, /tmp has only the few MB of memory of the site's `sessiondir max size`.
            *("--workdir", str(scratch)),
        ]
        for mount in spec.mounts:
            words += ["--mount", mount_option(mount)]
        if spec.gpus or spec.gpu_ids:
            words += ["--nv"]
        return [*words, str(_FILES.of(spec.image))]

    def shell(self, spec: ContainerSpec) -> str:
        """Return ``apptainer exec …``, after the conversion of a missing image."""
        scratch = _scratch(spec)
        start = [*self._words(spec, scratch), *wrapped(_with_entry_point(spec), _given(spec))]
        steps = [shlex.join(["mkdir", "-p", str(scratch)]), shlex.join(start)]
        if not _FILES.is_path(spec.image):
            target = _FILES.of(spec.image)
            steps.insert(0, images.by_hand(target, lambda to: self._conversion(spec.image, to)))
        return f"{{ {' && '.join(steps)}; }}"


def _with_entry_point(spec: ContainerSpec) -> ContainerSpec:
    """Return *spec* with the command of ``apptainer run``, which snakeval starts in its shell."""
    return replace(spec, argv=(_RUNSCRIPT, *spec.argv)) if spec.entry_point else spec


def _given(spec: ContainerSpec) -> Mapping[str, str]:
    """Return the variables of the container, which inherits none of this machine.

    ``--nv`` shows every GPU, and CUDA's variable selects some.
    """
    given = spec.with_visible_gpus()
    if spec.gpus and not spec.gpu_ids and (visible := spec.surroundings.get(_VISIBLE)):
        given[_VISIBLE] = visible
    return given


def _scratch(spec: ContainerSpec) -> Path:
    """Return the directory of the container's /tmp, which the next run of its name removes."""
    return Path(tempfile.gettempdir()) / f"snakeval-{os.getuid()}-apptainer" / spec.name
