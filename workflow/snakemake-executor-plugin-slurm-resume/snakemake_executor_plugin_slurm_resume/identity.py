"""What a Slurm job is for: the files that it makes, and the name that says so."""

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
    """A job of Snakemake, or a group of them, as Slurm gets it.

    ``outputs`` maps each absolute path that it makes, of all members of a group, to a digest of
    the params that it is made with: a running job of other params makes something else.
    """

    name: str
    rule: str
    group: str
    outputs: Mapping[str, str]

    @property
    def title(self) -> str:
        """The name without what makes it unique."""
        return self.name.rpartition("_")[0]


def task(job: Any, prefix: str) -> Task:
    """Return what *job* of Snakemake is for; *prefix* begins its name in Slurm."""
    outputs = {
        # As the rule names it: a link leads elsewhere for another run.
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
    """Return eight hex digits that stand for the texts, in any order."""
    return hashlib.sha256("\n".join(sorted(texts)).encode()).hexdigest()[:8]


def _plain(text: str) -> str:
    """Without what a shell, a path or a list of names would take for its own."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)
