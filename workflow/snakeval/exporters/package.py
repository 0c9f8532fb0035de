"""Collects what an export sends: the results of a run or of one evaluation, and chosen files."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snakeval.errors import holds_token
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import Completion
from snakeval.exporters import Options
from snakeval.files import read_bytes
from snakeval.run.directory import RunDirectory
from snakeval.run.plan import Planned

if TYPE_CHECKING:
    import pandas as pd

#: The columns with scores, and the endings of the scores' names.
_SCORES = {"value": "", "stderr": "_stderr", "ci_low": "_ci_low", "ci_high": "_ci_high"}


@dataclass(frozen=True, slots=True)
class Artifact:
    """A file to export.

    Attributes:
        name: its path below the evaluation's directory; for a run, below the run's directory.
        size: in bytes.
    """

    path: Path
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class Package:
    """The content of one entry at a destination.

    Attributes:
        key: identifies the entry at the destination; the same at every export.
        directory: the run's directory.
        title: the configuration's name.
        model, benchmark: of one evaluation; empty for a run.
        frame: the rows of the results table, see :func:`snakeval.results.table.table`.
        done, failed, missing: numbers of evaluations.
        facts: the evaluation's definition, by dotted names; empty for a run.
        tags: the user's tags.
    """

    key: str
    directory: Path
    title: str
    frame: pd.DataFrame
    done: int
    failed: int
    missing: int
    model: str = ""
    benchmark: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()

    @property
    def run(self) -> str:
        """The name of the run's directory."""
        return self.directory.name

    @property
    def id(self) -> str:
        """The invocation id."""
        return self.run.rpartition("-")[2]

    @property
    def name(self) -> str:
        """The name to display."""
        if self.benchmark:
            return f"{self.model}/{self.benchmark}"
        return " ".join(filter(None, (self.title, self.run)))

    @property
    def partial(self) -> str:
        """Describe what a partial result lacks; empty for a complete one."""
        return lack(self.done, self.failed, self.missing)

    @property
    def rows(self) -> pd.DataFrame:
        """The table; each row also has the run and whether the run is complete."""
        frame = self.frame.copy()
        frame.insert(0, "run", self.run)
        frame["run_complete"] = not self.partial
        return frame

    @property
    def scores(self) -> dict[str, float]:
        """The scores by ``task/metric/filter``, with their standard errors and intervals.

        For a run, the names begin with the model and the benchmark.
        """
        found: dict[str, float] = {}
        scored = self.frame[self.frame["value"].notna()]
        for row in scored.to_dict(orient="records"):
            parts = [row["task"], row["metric"], row["filter"]]
            if not self.benchmark:
                parts = [row["model"], row["benchmark"], *parts]
            name = _named("/".join(str(part) for part in parts if part))
            for column, ending in _SCORES.items():
                value = row.get(column)
                if value is not None and not math.isnan(value):
                    found[name + ending] = float(value)
        return found

    @property
    def size(self) -> int:
        """The size of all files in bytes."""
        return sum(artifact.size for artifact in self.artifacts)


def lack(done: int, failed: int, missing: int) -> str:
    """Describe how many evaluations are missing; empty if none is.

    >>> lack(1, 0, 2)
    'partial: 1 of 3 evaluations are done, 0 failed, 2 not evaluated'
    """
    if not (failed or missing):
        return ""
    return (
        f"partial: {done} of {done + failed + missing} evaluations are done, {failed} failed, "
        f"{missing} not evaluated"
    )


def _named(name: str) -> str:
    """Return a name that every destination accepts; a changed name ends with a digest."""
    fitting = re.sub(r"[^\w./ -]", "_", name, flags=re.ASCII)
    if fitting == name and len(name) <= 200:
        return name
    return f"{fitting[:190]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def packages(run: RunDirectory, title: str, options: Options) -> list[Package]:
    """Return the packages that *options* select from *run*, read from its records.

    A pair that no endpoint type allows is a row of the run, but not an evaluation.
    """
    from snakeval.results.table import table

    whole = table(run)
    chosen = whole["metric"].isna() | whole["metric"].map(
        lambda metric: any(fnmatchcase(str(metric), pattern) for pattern in options.metrics)
    )
    frame = whole[chosen].reset_index(drop=True)
    plan = [item for item in run.plan() if not item.left_out]
    files = {item: tuple(_artifacts(run, item, options.artifacts)) for item in plan}
    if options.per == "run":
        artifacts = [
            Artifact(path, path.name, path.stat().st_size)
            for path in (run.config, run.report)
            if any(fnmatchcase(path.name, p) for p in options.artifacts)
            and path.is_file()
            and not _holds_token(path)
        ]
        artifacts += (
            Artifact(file.path, f"{item.id}/{file.name}", file.size)
            for item, found in files.items()
            for file in found
        )
        counts = _counts(whole)
        made = Package(
            run.name,
            run.path,
            title,
            frame,
            *counts,
            tags=options.tags,
            artifacts=tuple(artifacts),
        )
        return [made]
    groups = dict(iter(frame.groupby(["model", "benchmark"], sort=False)))
    made_of = ((item, groups.get((item.model, item.benchmark))) for item in plan)
    return [
        Package(
            key=f"{run.name}/{item.id}",
            directory=run.path,
            title=title,
            frame=rows.reset_index(drop=True),
            done=counts[0],
            failed=counts[1],
            missing=counts[2],
            model=item.model,
            benchmark=item.benchmark,
            facts=_facts(run, item),
            tags=options.tags,
            artifacts=files[item],
        )
        for item, rows in made_of
        if rows is not None
        for counts in [_counts(rows)]
    ]


def _counts(frame: pd.DataFrame) -> tuple[int, int, int]:
    counts = frame.drop_duplicates(["model", "benchmark"])["status"].value_counts()
    done, failed, missing = (int(counts.get(state, 0)) for state in ("done", "failed", "pending"))
    return done, failed, missing


def _facts(run: RunDirectory, item: Planned) -> dict[str, str]:
    done = run.evaluation(item.source).completion(item.fingerprint)
    facts: dict[str, Any] = {"fingerprint": item.fingerprint}
    if done is not None:
        facts |= {**done.identity, "image_digest": done.image_digest, "runtime": done.runtime}
    return {name: value for name, value in _flat(facts) if value}


def _flat(data: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    for name, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{name}.")
        elif value is not None:
            yield f"{above}{name}", str(value)


def _artifacts(run: RunDirectory, item: Planned, patterns: Iterable[str]) -> Iterator[Artifact]:
    """Return the files of which a pattern matches the name or the path in the evaluation.

    The candidates are the files of the record's manifest (which has no caches), the logs and the
    record. A link that leads out of the run is excluded: an untrusted harness may have made it.
    """
    patterns = tuple(patterns)
    if not patterns:
        return
    place = run.evaluation(item.source)
    done = place.completion(item.fingerprint)
    root = run.path.resolve()
    for path in _candidates(place, done):
        name = path.relative_to(place.path).as_posix()
        if not any(fnmatchcase(text, p) for p in patterns for text in (name, path.name)):
            continue
        if path.is_file() and path.resolve().is_relative_to(root):
            yield Artifact(path, name, path.stat().st_size)


def _holds_token(path: Path) -> bool:
    """Whether a file of a run holds a token. Earlier versions saved them, and so did pages."""
    return holds_token((read_bytes(path) or b"").decode("utf-8", "replace"))


def _candidates(place: EvaluationDirectory, done: Completion | None) -> Iterator[Path]:
    if done is not None:
        yield place.published
        for entry in place.whole_manifest(done) or done.manifest:
            yield place.artifacts / entry["path"]
    yield from sorted(path for path in place.logs.glob("*") if not path.is_symlink())
