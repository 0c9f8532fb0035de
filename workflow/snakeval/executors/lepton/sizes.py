"""Finds, before a run, evaluations whose results will not fit the logs of their jobs.

Earlier results of the same task show how large a result is.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from snakeval.errors import EvaluationError
from snakeval.evaluation import trees
from snakeval.evaluation.definition import Evaluation, Identity
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.executors.lepton.jobs import scores
from snakeval.harnesses import caches_of
from snakeval.run.directory import RunDirectory
from snakeval.run.index import entries

#: The plugin's default of --lepton-log-cap, in KiB.
_CAP = 1024
#: How many runs and models are searched for an earlier result, and for how many tasks.
_RUNS, _MODELS, _TASKS = 20, 20, 50
#: No result packs to less than this part of its size.
_RATIO = 64
_BLOCK = 1 << 20
#: The parts of an identity that determine the size of a result.
_SAME = ("harness", "task", "command", "files_digest")


@dataclass(frozen=True, slots=True)
class Earlier:
    """An earlier result that does not fit; ``scores``: whether its files with scores do."""

    where: str
    scores: bool


def warnings(evaluations: Iterable[Evaluation], settings: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each task of which a result will not fit.

    *settings* are those of the Snakemake plugin, as the command line and the profile give them.
    """
    cap = _cap(settings)
    tasks: dict[tuple[object, ...], list[Evaluation]] = {}
    for evaluation in evaluations if cap else ():
        tasks.setdefault(_task(evaluation.identity), []).append(evaluation)
    lines = []
    for task, members in list(tasks.items())[:_TASKS]:
        found = _earlier(task, members[0], cap)
        if found is None:
            continue
        names = ", ".join(sorted(member.id for member in members)[:3])
        names += f" and {len(members) - 3} more" if len(members) > 3 else ""
        what = "only scores and some other files will return by the jobs' logs"
        if not found.scores:
            what = "the scores will not fit the jobs' logs, so it will fail"
        lines.append(
            f"Lepton: {names}: {what}, because the result of {found.where} is larger than "
            f"{cap // 1024} KiB packed; set lepton-s3-prefix or lepton-mount"
        )
    return lines


def _cap(settings: Mapping[str, Any]) -> int:
    """Return how many bytes a log takes; 0 if files do not return by logs."""
    given = {name: value for name, value in settings.items() if isinstance(value, (str, int))}
    kind = given.get("lepton_transport") or "auto"
    if kind == "auto":
        other = given.get("lepton_s3_prefix") or given.get("lepton_mount")
        kind = "log" if not other else "other"
    return int(given.get("lepton_log_cap") or _CAP) * 1024 if kind == "log" else 0


def _task(identity: Identity | Mapping[str, Any]) -> tuple[object, ...]:
    """Return what determines the size of a result."""
    data = identity if isinstance(identity, Mapping) else identity.as_dict()
    limit = (data.get("params") or {}).get("limit_samples")
    return (*(data.get(name) or "" for name in _SAME), limit)


def _earlier(task: tuple[object, ...], evaluation: Evaluation, cap: int) -> Earlier | None:
    """Return the newest earlier result of the task, if it does not fit."""
    for run, directory in _candidates(evaluation):
        try:
            if _task(directory.read_identity()) == task:
                return _measured(f"{run}/{directory.name}", directory.artifacts, evaluation, cap)
        except (OSError, EvaluationError, AttributeError):
            continue  # damaged, or deleted meanwhile
    return None


def _candidates(evaluation: Evaluation) -> Iterator[tuple[str, EvaluationDirectory]]:
    """Yield the finished evaluations of the same benchmark, those of the same model first."""
    runs = [(entry.id, entry.run) for entry in _runs()]
    models = {run: _models(run) for _, run in runs}
    for own in (True, False):
        for identity, run in runs:
            for model in models[run]:
                directory = run.evaluation(f"{model}/{evaluation.benchmark}")
                if (model == evaluation.model) == own and directory.published.exists():
                    yield identity, directory


def _runs() -> Sequence[Any]:
    return entries()[:_RUNS]


@cache
def _models(run: RunDirectory) -> tuple[str, ...]:
    try:
        names = sorted(path.name for path in run.path.iterdir() if path.name[:1] != ".")
    except OSError:
        return ()
    return tuple(names[:_MODELS])


def _measured(where: str, artifacts: Path, evaluation: Evaluation, cap: int) -> Earlier | None:
    caches = caches_of(evaluation.identity.adapter)
    files = list(trees.files(artifacts, caches))
    if _fit((path for _, path in files), cap):
        return None
    first = scores(evaluation)
    return Earlier(where, _fit((path for name, path in files if trees.fits(name, first)), cap))


def _fit(files: Iterable[Path], cap: int) -> bool:
    """Whether an archive of the files has at most *cap* bytes."""
    pack = zlib.compressobj(level=6)
    size = read = 0
    for path in files:
        read += path.stat().st_size
        if read > _RATIO * cap:
            return False
        with path.open("rb") as file:
            for block in iter(lambda: file.read(_BLOCK), b""):
                size += len(pack.compress(block))
                if size > cap:
                    return False
    return size + len(pack.flush()) <= cap
