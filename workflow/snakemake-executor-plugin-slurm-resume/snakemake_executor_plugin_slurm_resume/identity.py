"""Identifies the task of a Slurm job: the files that it makes, and a name derived from them."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_RULE_LENGTH, _WILDCARDS_LENGTH = 40, 40


@dataclass(frozen=True, slots=True)
class Task:
    """A job of Snakemake, or a group of jobs, as submitted to Slurm.

    ``outputs`` maps the absolute path of each output, of all members of a group, to a digest of its
    params: a running job with other params makes something else.
    """

    name: str
    rule: str
    group: str
    outputs: Mapping[str, str]

    @property
    def title(self) -> str:
        """The name without its unique part."""
        return self.name.rpartition("_")[0]


def task(job: Any, prefix: str) -> Task:
    """Return the task of a Snakemake *job*; *prefix* begins its name in Slurm."""
    outputs = {
        # The path as in the rule: a link may lead elsewhere in another run.
        str(Path(output).absolute()): digest(repr(param) for param in member.non_derived_params)
        for member in (job.jobs if job.is_group() else (job,))
        for output in member.output
    }
    wildcards = () if job.is_group() else tuple(map(str, job.wildcards))
    title = str(job.groupid) if job.is_group() else str(job.rule.name)
    return Task(
        name=slurm_name(prefix, title, wildcards, outputs),
        rule="" if job.is_group() else title,
        group=title if job.is_group() else "",
        outputs=outputs,
    )


def slurm_name(
    prefix: str, title: str, wildcards: Sequence[str], outputs: Mapping[str, str]
) -> str:
    """Return ``<prefix>_<title>_<wildcards>_<hash>``: readable, and the same for the same files.

    >>> slurm_name("eval", "sort", ["a/b"], {"/data/a/b.txt": ""})
    'eval_sort_a-b_1af90050'
    """
    parts = (
        _plain(prefix),
        _plain(title)[:_RULE_LENGTH],
        _plain("_".join(wildcards))[:_WILDCARDS_LENGTH],
        digest(sorted(outputs)),
    )
    return "_".join(part for part in parts if part)


def digest(texts: Iterable[str]) -> str:
    """Return eight hex digits as a digest of the texts, in any order."""
    return hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()[:8]


def _plain(text: str) -> str:
    """Replace the characters that are special in a shell, a path or a list of names."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)
