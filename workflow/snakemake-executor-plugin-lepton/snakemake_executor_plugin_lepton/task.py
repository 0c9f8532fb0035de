"""Turns a Snakemake job, or a group, into a task: its command, image and files."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from snakemake_executor_plugin_lepton import options
from snakemake_executor_plugin_lepton.errors import TaskError
from snakemake_executor_plugin_lepton.identity import job_hash
from snakemake_executor_plugin_lepton.options import Choice, Mount, Transfer
from snakemake_executor_plugin_lepton.resources import (
    formatted,
    job_file,
    output_id,
    target_of,
)
from snakemake_executor_plugin_lepton.settings import ExecutorSettings

#: The resources of a rule that this plugin reads, apart from mem_mb, runtime, gpu and gpu_model.
RESOURCES = (
    "lepton_image", "lepton_command", "lepton_resource_shape", "lepton_node_group", "lepton_env",
    "lepton_secrets", "lepton_mounts", "lepton_inputs", "lepton_outputs", "lepton_before",
    "lepton_job", "lepton_lease", "lepton_then", "lepton_here", "lepton_priority",
    "lepton_shared_memory_mb",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Needs:
    """The hardware that a job requires."""

    gpu: int
    gpu_model: str | None
    threads: int
    mem_mb: int


@dataclass(frozen=True, slots=True)
class Task:
    """A job for the service, without its names and its transport."""

    rule: str
    command: str
    image: str
    work: PurePosixPath
    env: dict[str, str]
    secrets: dict[str, str]  #: environment variable -> name of the secret
    mounts: tuple[Mount, ...]
    inputs: tuple[Transfer, ...]
    outputs: tuple[Transfer, ...]
    needs: Needs
    runtime: int | None  #: seconds
    shape: str | None
    node_group: str | None
    priority: str | None
    shared_memory_mb: int | None
    then: str | None  #: command for this machine after the files are back
    choice: Choice  #: of the outputs, if a transport has no room for all
    target: str  #: identifies what the job makes, whatever its definition
    output: str = ""  #: the id of its outputs in every working directory, if they have one
    is_first: bool = True  #: no job has had that id

    def resumes_from(self, transfer: Transfer) -> bool:
        """Whether an input is what an earlier attempt may have sent."""
        return any(transfer.remote == output.remote for output in self.outputs)


@dataclass(frozen=True, slots=True)
class _Part:
    """One job of a group."""

    image: str
    command: str
    env: dict[str, str]
    secrets: dict[str, str]
    mounts: tuple[Mount, ...]
    inputs: tuple[Transfer, ...] | None  #: None for the rule's own inputs
    more_inputs: tuple[Transfer, ...]
    more_outputs: tuple[Transfer, ...]
    choice: Choice


class Tasks:
    """Creates tasks according to the settings of the run."""

    def __init__(
        self, settings: ExecutorSettings, run: str, envvars: Iterable[str], conda: bool
    ) -> None:
        self._settings = settings
        self._run = run
        self._envvars = tuple(envvars)
        self._conda = conda

    def task(self, job: Any) -> Task:
        """Return the task of a Snakemake job.

        Raises:
            TaskError: the job cannot run here; the text has the reason.
        """
        levels = job.toposorted if job.is_group() else [[job]]
        jobs = [member for level in levels for member in level]
        parts = {member: self._part(member) for member in jobs}
        first = parts[jobs[0]]
        if any(part.image != first.image for part in parts.values()):
            images = ", ".join(sorted({part.image for part in parts.values()}))
            raise TaskError(f"the rules of one group need one image, and these have {images}")
        commands = [[parts[member].command for member in level] for level in levels]
        # An own directory, because jobs may share nodes; the same for every attempt and head.
        output, is_first = output_id(job)
        made = [(m.rule.name, list(m.output), str(m)) for m in jobs]
        digest = job_hash(output or self._run, made)
        work = PurePosixPath(self._settings.workdir) / f"snakemake-{digest[:12]}"
        resources = job.resources
        runtime = resources.get("runtime")
        rule = "-".join(dict.fromkeys(member.rule.name for member in jobs))
        produced = {str(file) for member in jobs for file in (*member.output, *member.log)}
        return Task(
            rule=rule,
            command=commands[0][0] if len(jobs) == 1 else _all(commands),
            image=first.image,
            work=work,
            env=_merged([part.env for part in parts.values()], "lepton_env"),
            secrets=_merged([part.secrets for part in parts.values()], "lepton_secrets"),
            mounts=tuple(dict.fromkeys(m for part in parts.values() for m in part.mounts)),
            inputs=(
                *_files(
                    (
                        file
                        for member, part in parts.items()
                        for file in (member.input if part.inputs is None else ())
                        if str(file) not in produced
                    ),
                    work,
                ),
                *(t for p in parts.values() for t in (*(p.inputs or ()), *p.more_inputs)),
            ),
            outputs=(
                *_files((f for m in jobs for f in (*m.output, *m.log)), work),
                *(t for p in parts.values() for t in p.more_outputs),
            ),
            needs=_needs(job),
            runtime=_number(runtime) * 60 if runtime else None,
            shape=resources.get("lepton_resource_shape") or self._settings.resource_shape,
            node_group=resources.get("lepton_node_group") or self._settings.node_group,
            priority=self._priority(resources),
            shared_memory_mb=resources.get("lepton_shared_memory_mb"),
            then=" && ".join(then for m in jobs if (then := formatted(m, "lepton_then"))) or None,
            choice=Choice.joined(part.choice for part in parts.values()),
            target=target_of(job),
            output=output,
            is_first=is_first,
        )

    def _priority(self, resources: Any) -> str | None:
        own = options.priority(resources.get("lepton_priority"), "lepton_priority")
        return own or options.priority(self._settings.priority, "--lepton-priority")

    def _part(self, job: Any) -> _Part:
        file = job_file(job)
        own = file.get("command") or formatted(job, "lepton_command")
        self._refuse(job, bool(own))
        resources, settings = job.resources, self._settings
        image = (
            file.get("image")
            or resources.get("lepton_image")
            or job.container_img_url
            or settings.image
        )
        if not image:
            raise TaskError(
                "it has no container image: add `container:` to the rule, the resource "
                "lepton_image, or --lepton-image"
            )
        env = {
            **options.environment(settings.env, "--lepton-env"),
            **options.environment(resources.get("lepton_env"), "lepton_env"),
            **options.environment(file.get("env"), "env"),
        }
        secrets = {
            **options.secrets(settings.secrets, "--lepton-secrets"),
            **options.secrets(resources.get("lepton_secrets"), "lepton_secrets"),
            **options.secrets(file.get("secrets"), "secrets"),
        }
        if both := sorted(env.keys() & secrets.keys()):
            raise TaskError(f"{both[0]} is in its environment and in its secrets")
        if lacking := [name for name in self._envvars if name not in env and name not in secrets]:
            raise TaskError(
                f"the Snakefile declares envvars: {lacking[0]}, and values do not go into jobs in "
                f"clear: make it a secret of the workspace and name it in --lepton-secrets "
                f"{lacking[0]}, or give it in --lepton-env"
            )
        return _Part(
            image=str(image).removeprefix("docker://"),
            # Snakemake does not know the temporary directory of a remote job.
            command=str(own or job.shellcmd or "true").replace("<TBD>", settings.workdir),
            env=env,
            secrets=secrets,
            mounts=(
                *options.mounts(settings.mounts, "--lepton-mounts"),
                *options.mounts(resources.get("lepton_mounts"), "lepton_mounts"),
                *options.mounts(" ".join(map(shlex.quote, file.get("mounts", ()))), "mounts"),
            ),
            inputs=options.transfers(file["inputs"], "inputs") if "inputs" in file else None,
            more_inputs=options.transfers(resources.get("lepton_inputs"), "lepton_inputs"),
            more_outputs=(
                *options.transfers(resources.get("lepton_outputs"), "lepton_outputs"),
                *options.transfers(file.get("outputs"), "outputs"),
            ),
            choice=Choice(tuple(file.get("first", ())), tuple(file.get("never", ()))),
        )

    def _refuse(self, job: Any, has_command: bool) -> None:
        """Reject what only Snakemake itself could do in the job."""
        kinds = {
            "script:": job.is_script, "notebook:": job.is_notebook, "wrapper:": job.is_wrapper,
            "cwl:": job.is_cwl, "template_engine:": job.is_template_engine, "run:": job.is_run,
        }  # fmt: skip
        kind = next((name for name, is_kind in kinds.items() if is_kind and not job.is_norun), None)
        if kind and not has_command:
            raise TaskError(
                f"`{kind}` requires Snakemake in the container: use `shell:`, the resource "
                "lepton_command, or `localrule: True`"
            )
        if job.is_shadow:
            raise TaskError("`shadow:` is not supported: a job has a directory of its own anyway")
        if job.benchmark:
            raise TaskError("`benchmark:` is not supported: nothing measures in the container")
        if self._conda and job.conda_env_spec:
            raise TaskError("`conda:` with --sdm conda is not supported: put it into the image")


def _needs(job: Any) -> Needs:
    resources = job.resources
    return Needs(
        gpu=int(resources.get("gpu") or 0),
        gpu_model=resources.get("gpu_model"),
        threads=int(job.threads or 1),
        mem_mb=_number(resources.get("mem_mb")),
    )


def _all(levels: Sequence[Sequence[str]]) -> str:
    """Return one command for a group: its levels in sequence, each level's commands in parallel."""
    lines = []
    for level in levels:
        if len(level) == 1:
            lines.append(f"(\n{level[0]}\n)")
            continue
        for number, command in enumerate(level):
            lines.append(f"(\n{command}\n) & job{number}=$!")
        waits = [f'wait "$job{number}" || failed=1' for number in range(len(level))]
        lines += ["failed=0", *waits, '[ "$failed" = 0 ]']
    return "\n".join(lines)


def _files(files: Iterable[Any], work: PurePosixPath) -> tuple[Transfer, ...]:
    """Return files with the same path in the job: relative to its directory, or absolute."""
    paths = dict.fromkeys(str(file) for file in files)
    return tuple(Transfer(Path(path), work / path) for path in paths)


def _merged(parts: Sequence[Mapping[str, str]], origin: str) -> dict[str, str]:
    result: dict[str, str] = {}
    for part in parts:
        for name, value in part.items():
            if result.setdefault(name, value) != value:
                raise TaskError(f"{origin}: the rules of one group have different values of {name}")
    return result


def _number(value: object) -> int:
    return value if isinstance(value, int) else int(str(value)) if str(value).isdigit() else 0
