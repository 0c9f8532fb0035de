"""Runs containers with Apptainer, or Singularity from 3.10 on, which has the same command line.

Options, mounts and environment as https://apptainer.org/docs/user/main/ documents them ("Bind
Paths and Mounts", "Environment and Metadata", "Support for Docker and OCI Containers"); what
``--compat`` stands for is written out, but for its lack of an init, which hands signals on.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import IO

from snakeval.errors import EvaluationError
from snakeval.runtimes import Outcome, Report, images
from snakeval.runtimes.command_line import mount_option, wrapped
from snakeval.runtimes.marked import MARK, kill_leftovers, run_marked
from snakeval.runtimes.spec import ContainerSpec

#: The image's own entry point and arguments, as the conversion writes them.
_RUNSCRIPT = "/.singularity.d/runscript"
#: What says itself where it comes from.
_URI = re.compile(r"[a-z]+://|(docker-archive|docker-daemon|oci|oci-archive):")


def connect() -> Apptainer:
    """Find apptainer, or else singularity, on the PATH.

    Raises:
        EvaluationError: neither is there, or it is too old.
    """
    for program in ("apptainer", "singularity"):
        if shutil.which(program) is not None:
            break
    else:
        raise EvaluationError(
            "there is no apptainer and no singularity on the PATH", hint="install one"
        )
    asked = subprocess.run(
        [program, "exec", "--help"], capture_output=True, text=True, check=False, timeout=60
    )
    if asked.returncode != 0:
        said = (asked.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise EvaluationError(f"{program} does not work here: {said[:300]}")
    if "--no-eval" not in asked.stdout:
        raise EvaluationError(
            f"{program} is too old (no --no-eval)",
            hint="install Apptainer 1.1, SingularityCE 3.10 or newer",
        )
    return Apptainer(program)


class Apptainer:
    """See :class:`snakeval.runtimes.Runtime`.

    It has the network of this machine, whatever the specification says, and no limits of its own:
    CPU and memory are those of the Slurm job.
    """

    name = "apptainer"
    isolated = True
    host = "127.0.0.1"

    def __init__(self, program: str) -> None:
        self._program = program

    def has(self, spec: ContainerSpec) -> bool:
        """Whether the image is converted, or is a file (or a directory) of this machine."""
        return Path(_file(spec.image)).exists()

    def prepare(self, spec: ContainerSpec, report: Report) -> str:
        """Convert the image if it is absent; two that want the same one convert it once."""
        if not self.has(spec):
            if _is_path(spec.image):
                raise EvaluationError(f"there is no image {spec.image}; check `image`")
            target = Path(_file(spec.image))
            images.convert(spec.image, target, lambda to: self._conversion(spec.image, to), report)
        return images.digest(spec.image)

    def _conversion(self, image: str, target: Path) -> list[str]:
        source = image if _URI.match(image) else f"docker://{image}"
        # `pull` takes what lies behind a network; the formats of files are for `build`.
        verb = "pull" if "://" in source else "build"
        return [self._program, verb, str(target), source]

    def run(self, spec: ContainerSpec, log: IO[bytes], stop: Event) -> Outcome:
        """Run it in the foreground; apptainer hands SIGTERM on to the container."""
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
            # Else /tmp is of the few MB of memory that the site's `sessiondir max size` says.
            *("--workdir", str(scratch)),
        ]
        for mount in spec.mounts:
            words += ["--mount", mount_option(mount)]
        if spec.gpus or spec.gpu_ids:
            words += ["--nv"]
        return [*words, _file(spec.image)]

    def shell(self, spec: ContainerSpec) -> str:
        """``apptainer exec …``, after a conversion where the image is not here yet."""
        scratch = _scratch(spec)
        start = [*self._words(spec, scratch), *wrapped(_with_entry_point(spec), _given(spec))]
        steps = [shlex.join(["mkdir", "-p", str(scratch)]), shlex.join(start)]
        if not _is_path(spec.image):
            target = Path(_file(spec.image))
            steps.insert(0, images.by_hand(target, lambda to: self._conversion(spec.image, to)))
        return f"{{ {' && '.join(steps)}; }}"


def _is_path(image: str) -> bool:
    return image.startswith(("/", "./", "~")) or image.endswith((".sif", ".sqsh"))


def _file(image: str) -> str:
    """The file that is started for *image*."""
    if _is_path(image):
        return str(Path(image).expanduser())
    return str(images.cached("apptainer", image, ".sif"))


def _with_entry_point(spec: ContainerSpec) -> ContainerSpec:
    """The same with its whole command: what ``apptainer run`` runs, but under our shell."""
    return replace(spec, argv=(_RUNSCRIPT, *spec.argv)) if spec.entry_point else spec


def _given(spec: ContainerSpec) -> Mapping[str, str]:
    """The variables of the container; none of this machine's are there by themselves.

    ``--nv`` shows every GPU; which are meant is said by CUDA's own variable.
    """
    visible = ",".join(spec.gpu_ids)
    if spec.gpus and not visible:
        visible = spec.surroundings.get("CUDA_VISIBLE_DEVICES", "")
    return {**spec.env, **({"CUDA_VISIBLE_DEVICES": visible} if visible else {})}


def _scratch(spec: ContainerSpec) -> Path:
    """Where the container's /tmp is: one place for each name, so that a new run tidies up."""
    return Path(tempfile.gettempdir()) / f"snakeval-{os.getuid()}-apptainer" / spec.name
