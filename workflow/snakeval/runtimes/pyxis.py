"""Runs containers as steps of the current Slurm job, with pyxis and enroot.

https://github.com/NVIDIA/pyxis (README, ``args.c``) documents the options.
https://github.com/NVIDIA/enroot (doc/cmd/import.md, doc/image-format.md) documents image names and
the image's command script.

``enroot import`` converts images, once for all jobs. ``--container-save`` would save a container
with all files that its task wrote, after the task's end, and would require a step.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import IO

from snakeval.errors import EvaluationError
from snakeval.runtimes import Outcome, Report, blocking, images
from snakeval.runtimes.command_line import wrapped
from snakeval.runtimes.marked import MARK, kill_leftovers, run_marked
from snakeval.runtimes.spec import ContainerSpec
from snakeval.runtimes.srun import environment

#: Characters that pyxis reads as separators or passes to a shell unquoted
#: (``enroot_create_start_config``).
_UNMOUNTABLE = re.compile(r'[,:"$`\\\n]')
#: Runs the image's own entry point, enroot's ``/etc/rc``. Pyxis runs the step's command before it,
#: in a script ``/etc/rc.local``. The option ``--container-entrypoint`` supports only entry points
#: that end with ``exec "$@"``; with an entry point that serves, the step would never start.
_ENTRY_POINT = ("sh", "-c", 'rm -f /etc/rc.local; exec sh /etc/rc "$@"', "rc")
#: The variables by which enroot finds its files; the step gets no other variable of the job.
_FOR_ENROOT = ("HOME", "PATH", "USER", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
#: The images as this runtime starts them.
_FILES = images.Files("enroot", (".sqsh",))


def connect() -> Pyxis:
    """Find an srun with pyxis on the PATH.

    Raises:
        EvaluationError: srun is missing or has no pyxis.
    """
    if shutil.which("srun") is None:
        raise EvaluationError(
            "there is no srun on the PATH", hint="use a node of Slurm, or set another runtime"
        )
    asked = blocking.answer(["srun", "--help"], seconds=60)
    if "--container-image" not in asked.output:
        raise EvaluationError(
            "srun has no --container-image here",
            hint="install pyxis, or set another runtime",
        )
    return Pyxis()


class Pyxis:
    """See :class:`snakeval.runtimes.Runtime`.

    A container is a step on this node, next to the job's other steps. It has the node's network,
    and the CPUs, memory and GPUs of the job.
    """

    name = "pyxis"
    isolated = True
    host = "127.0.0.1"

    def has(self, spec: ContainerSpec) -> bool:
        """Return whether the image is converted, or is a file that the node sees."""
        return _FILES.has(spec.image)

    def prepare(self, spec: ContainerSpec, report: Report) -> str:
        """Convert a missing image, once even if two processes request it."""
        if not self.has(spec):
            _FILES.check(spec.image)
            if shutil.which("enroot") is None:
                raise EvaluationError(
                    f"there is no enroot on the PATH to convert {spec.image}; set `image` to a "
                    ".sqsh file, or set another runtime"
                )
            target = _FILES.of(spec.image)
            images.convert(spec, target, lambda to: _conversion(spec.image, to), report)
        return images.digest(spec.image)

    def run(self, spec: ContainerSpec, log: IO[bytes], stop: Event) -> Outcome:
        """Run a step to its end.

        The end of standard input stops the step, since srun kills its tasks at once on SIGTERM.
        """
        if not os.environ.get("SLURM_JOB_ID"):
            raise EvaluationError(
                "runtime pyxis requires a Slurm job ($SLURM_JOB_ID is not set); use "
                "--profile slurm, or set another runtime"
            )
        kill_leftovers(spec.name)
        own = {MARK: spec.name}
        node = os.environ.get("SLURMD_NODENAME", "")
        return run_marked(
            spec,
            [*_step(node), *container_options(spec), *_with_entry_point(spec).guarded()],
            log,
            stop,
            stdin=spec.greeting(env={**given(spec), **own}),
            # The step belongs to this process's job, also if another process wrote the spec.
            env=environment({**os.environ, **spec.surroundings, **own}),
            by_signal=False,
        )

    def shell(self, spec: ContainerSpec) -> str:
        """Return ``srun …`` for a job's shell, after the conversion of a missing image."""
        words = [
            *_step(""),
            *container_options(spec),
            *wrapped(_with_entry_point(spec), given(spec)),
        ]
        steps = [shlex.join(words)]
        if not _FILES.is_path(spec.image):
            target = _FILES.of(spec.image)
            steps.insert(0, images.by_hand(target, lambda to: _conversion(spec.image, to)))
        return f"{{ {' && '.join(steps)}; }}"


def _step(node: str) -> list[str]:
    """Return the srun command for one task on *node*, or on a node that Slurm chooses."""
    where = [f"--nodelist={node}"] if node else []
    return ["srun", "--quiet", "--overlap", "--nodes=1", "--ntasks=1", *where]


def container_options(spec: ContainerSpec) -> list[str]:
    """Return the options of pyxis for *spec*.

    Raises:
        EvaluationError: pyxis cannot mount a path.
    """
    mounts = []
    for mount in spec.mounts:
        for path in (mount.source, mount.target):
            if _UNMOUNTABLE.search(path):
                raise EvaluationError(
                    f"pyxis cannot mount {path}, because of its characters; choose a path of "
                    "letters, digits and -_./, or another runtime"
                )
        mounts.append(f"{mount.source}:{mount.target}{':ro' if mount.read_only else ''}")
    words = [
        *(
            "--mpi=none",
            f"--export={','.join(_FOR_ENROOT)}",
            f"--container-image={_FILES.of(spec.image)}",
        ),
        *(f"--container-workdir={spec.workdir}", "--container-writable"),
        *("--no-container-mount-home", "--no-container-remap-root", "--no-container-entrypoint"),
    ]
    return [*words, f"--container-mounts={','.join(mounts)}"] if mounts else words


def given(spec: ContainerSpec) -> Mapping[str, str]:
    """Return the variables of the container.

    A step sees all GPUs of its job, and CUDA's variable selects some.
    """
    return spec.with_visible_gpus()


def _conversion(image: str, target: Path) -> list[str]:
    return ["enroot", "import", "--output", str(target), uri(image)]


def uri(image: str) -> str:
    """Return enroot's name of *image*.

    >>> uri("nvcr.io/nvidia/pytorch:25.06-py3")
    'docker://nvcr.io#nvidia/pytorch:25.06-py3'
    >>> uri("vllm/vllm-openai:v0.31.0")
    'docker://vllm/vllm-openai:v0.31.0'
    """
    if "://" in image:
        return image
    registry, slash, name = image.partition("/")
    # As in Docker, a name with a dot or a port, or localhost, is a registry's address.
    is_registry = slash and (re.search(r"[.:]", registry) or registry == "localhost")
    return (
        f"docker://{registry}#{name}" if is_registry and "#" not in image else f"docker://{image}"
    )


def _with_entry_point(spec: ContainerSpec) -> ContainerSpec:
    return replace(spec, argv=(*_ENTRY_POINT, *spec.argv)) if spec.entry_point else spec
