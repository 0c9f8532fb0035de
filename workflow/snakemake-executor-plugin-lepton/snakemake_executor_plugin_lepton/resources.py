"""Reads what a rule's resources say of its job: commands around it, its lease, its file."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from snakemake_executor_plugin_lepton.errors import TaskError
from snakemake_executor_plugin_lepton.identity import id_in, job_hash

#: The keys of a ``lepton_job`` file. Its inputs replace the rule's, which are then not sent.
_IN_FILE = (
    "image", "command", "env", "secrets", "mounts", "inputs", "outputs", "first", "never",
)  # fmt: skip


def here(job: Any) -> str | None:
    """Return the command of a job that runs on this machine (lepton_here), or None."""
    if job.is_group() or not job.resources.get("lepton_here"):
        return None
    command = formatted(job, "lepton_command") or job.shellcmd
    if not command:
        raise TaskError("lepton_here requires a rule with `shell:`, or lepton_command")
    return str(command)


def before(job: Any) -> str | None:
    """Return the command to run on this machine before the job exists, or None."""
    return None if job.is_group() else formatted(job, "lepton_before")


def target_of(job: Any) -> str:
    """Return 32 hex digits that identify what a job makes."""
    levels = job.toposorted if job.is_group() else [[job]]
    return job_hash([(m.rule.name, list(m.output)) for level in levels for m in level])


def lease_of(job: Any, private: Path) -> Path:
    """Return the file that the head holds which works at a job's outputs."""
    own = None if job.is_group() else formatted(job, "lepton_lease")
    return Path(own or private / "leases" / target_of(job)[:20]).absolute()


def output_id(job: Any) -> tuple[str, bool]:
    """Return the id of a job's outputs, and whether no job has it yet.

    It is beside the lease of the rule's own, so each working directory that makes these outputs
    finds it. A copy of the outputs has another id. Without such a lease there is no id.
    """
    own = None if job.is_group() else formatted(job, "lepton_lease")
    if not own:
        return "", True
    file = Path(f"{own}.id").resolve()
    is_new = not file.exists()
    return str(uuid.uuid5(uuid.UUID(id_in(file)), str(file))), is_new


def formatted(job: Any, name: str) -> str | None:
    """Return a resource with the values of {input}, {output}, {wildcards.x}…, as in `shell:`."""
    text = job.resources.get(name)
    return str(job.format_wildcards(str(text))) if text else None


def job_file(job: Any) -> dict[str, Any]:
    """Read a job's ``lepton_job`` file, which is JSON, if it has one."""
    path = formatted(job, "lepton_job")
    if not path:
        return {}
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TaskError(f"lepton_job: {path} cannot be read ({error})") from None
    if not isinstance(data, dict) or (unknown := sorted(data.keys() - {*_IN_FILE})):
        what = f"has {unknown[0]!r}" if isinstance(data, dict) else "holds no keys"
        raise TaskError(f"lepton_job: {path} {what}; there may be {', '.join(_IN_FILE)}")
    return data
