"""Collects what an export sends: the results of a run or of one evaluation, and chosen files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snakeval.config.member_names import series_of
from snakeval.errors import holds_token
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import Completion
from snakeval.exporters import Options
from snakeval.exporters.scores import scores_of
from snakeval.files import read_bytes
from snakeval.run.directory import RunDirectory
from snakeval.run.plan import Planned

if TYPE_CHECKING:
    import pandas as pd


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
class Step:
    """The scores of a checkpoint of a series.

    Attributes:
        number: the step; the checkpoint's place in the series if its steps are no whole numbers.
        step: as in the checkpoint's path.
        time: when its evaluations ended, in seconds since 1970.
        scores: by ``benchmark/task/metric/filter``, as :attr:`Package.scores`.
    """

    number: int
    step: str
    time: float
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Package:
    """The content of one entry at a destination.

    Attributes:
        key: identifies the entry at the destination; the same at every export.
        directory: the run's directory.
        title: the configuration's name.
        model, benchmark: of one evaluation; empty for a run and for a series.
        series: the series of the entry, with its other values, as ``run7 lr=1e-5``; else empty.
        steps: the scores of the series' checkpoints, by their steps.
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
    series: str = ""
    steps: tuple[Step, ...] = ()
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
        if self.series:
            return self.series
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

        For a run, the names begin with the model and the benchmark. For a series, they are those of
        its last checkpoint with a score.
        """
        if self.series:
            return dict(self.steps[-1].scores) if self.steps else {}
        above = () if self.benchmark else ("model", "benchmark")
        return scores_of(self.frame.to_dict(orient="records"), above)

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


def packages(run: RunDirectory, title: str, options: Options) -> list[Package]:
    """Return the packages that *options* select from *run*, read from its records.

    A pair that no endpoint type allows is a row of the run, but not an evaluation. The evaluations
    of a series of checkpoints are one package, whose scores have steps.
    """
    from snakeval.results.table import table

    whole = table(run)
    frame = with_metrics(whole, options)
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
        counts = counts_of(whole)
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
    from snakeval.exporters.series import series_packages

    groups = dict(iter(frame.groupby(["model", "benchmark"], sort=False)))
    single = (item for item in plan if not series_of(item.model))
    made_of = ((item, groups.get((item.model, item.benchmark))) for item in single)
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
        for counts in [counts_of(rows)]
    ] + series_packages(run, title, whole, options, files)


def with_metrics(frame: pd.DataFrame, options: Options) -> pd.DataFrame:
    """Return the rows of a table without the metrics that *options* leave out."""
    chosen = frame["metric"].isna() | frame["metric"].map(
        lambda metric: any(fnmatchcase(str(metric), pattern) for pattern in options.metrics)
    )
    return frame[chosen].reset_index(drop=True)


def counts_of(frame: pd.DataFrame) -> tuple[int, int, int]:
    """Return how many evaluations of a table are done, failed and missing."""
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
