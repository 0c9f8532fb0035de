"""Derives the names that find a job again: for people, after a lost answer, for the next head."""

from __future__ import annotations

import hashlib
import json
import os
import re
import uuid
from pathlib import Path

#: The labels of this plugin's jobs. A run is one working directory, in which heads share jobs.
RUN = "snakemake-run"
JOB = "snakemake-job"
#: Identifies the outputs of a job, whatever its definition.
TARGET = "snakemake-target"
ATTEMPT = "snakemake-attempt"
#: Identifies the outputs of a job, whatever the working directory.
OUTPUT = "snakemake-output"
RULE = "snakemake-rule"
HEAD = "snakemake-head"

MAX_NAME = 36
_HASH = 10


def run_id(private: Path) -> str:
    """Return the id of the run in this working directory, created at its first use."""
    return id_in(private / "run-id")


def id_in(file: Path) -> str:
    """Return the id in a file, which is created at its first use."""
    try:
        return str(uuid.UUID(file.read_text(encoding="ascii").strip()))
    except ValueError:  # damaged: the jobs of earlier heads are out of reach
        file.unlink(missing_ok=True)
    except FileNotFoundError:
        file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}-{uuid.uuid4().hex}")
    draft.write_text(f"{uuid.uuid4()}\n", encoding="ascii")
    try:
        os.link(draft, file)  # fails if another head has just written its own
    except FileExistsError:
        return id_in(file)
    except OSError:  # a file system without hard links
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    return id_in(file)


def job_hash(*parts: object) -> str:
    """Return 32 hex digits that identify a job: its command, image, files and their content.

    A head treats an earlier head's job as the same only if none of these has changed. Files from
    which a job resumes do not count: a job that has ended may have just sent them.
    """
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def job_name(prefix: str, rule: str, run: str, job: str, attempt: int) -> str:
    """Return ``<prefix>-<rule>-<hash>``: lower case, at most 36 characters, as Lepton requires."""
    digest = hashlib.sha256(f"{run} {job} {attempt}".encode()).hexdigest()[:_HASH]
    # Lepton's names begin with a letter.
    head = re.sub(r"[^a-z0-9]+", "-", f"{prefix}-{rule}".lower()).strip("-")
    head = head if head[:1].isalpha() else f"smk-{head}"
    return f"{head[: MAX_NAME - _HASH - 1].rstrip('-')}-{digest}"


def labels(
    run: str, job: str, attempt: int, rule: str, head: str = "", target: str = "", output: str = ""
) -> dict[str, str]:
    """Return the labels of a job."""
    value = re.sub(r"[^A-Za-z0-9_.-]", "-", rule)[:63].strip("-_.")
    own = {OUTPUT: output} if output else {}
    return {
        RUN: run, TARGET: target, JOB: job, ATTEMPT: str(attempt), RULE: value, HEAD: head, **own,
    }  # fmt: skip


def selector(run: str = "", job: str = "", target: str = "", output: str = "") -> str:
    """Return the label query for the jobs of *run*, of one *job*, *target* or *output*."""
    terms = {RUN: run, JOB: job, TARGET: target, OUTPUT: output}
    return ",".join(f"{name}={value}" for name, value in terms.items() if value)


def place_key(run: str, job: str, attempt: int) -> str:
    """Return the key of the files in transit of an attempt; *job* is the job's hash."""
    return f"{run[:8]}-{job[:20]}-{attempt}"
