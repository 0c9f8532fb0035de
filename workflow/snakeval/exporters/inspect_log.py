"""Writes Inspect's log format, so that ``inspect view`` shows a run's evaluations.

The format is the JSON form of an ``EvalLog``, version 2 (https://inspect.aisi.org.uk/eval-logs.html).
This module does not use inspect_ai, which requires an older python-dateutil than snakeval and a
hundred more packages. If inspect_ai is installed, a test reads the logs with it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from snakeval import __version__
from snakeval.errors import EvaluationError
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import Completion
from snakeval.exporters.package import Package
from snakeval.harnesses import reading
from snakeval.run.directory import RunDirectory

#: The viewer reads a whole log, so a log holds only the first samples of a larger evaluation.
MAX_SAMPLES = 10_000
_ERROR = ("message", "traceback", "traceback_ansi")


def logs(package: Package) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of a log for each finished or failed evaluation."""
    from snakeval.results.table import records

    run = RunDirectory(package.directory)
    for (model, benchmark), rows in package.frame.groupby(["model", "benchmark"], sort=False):
        status = rows["status"].iloc[0]
        if status not in ("done", "failed"):
            continue
        place = run.evaluation(f"{model}/{benchmark}")
        done = place.completion(rows["fingerprint"].iloc[0])
        data = _log(package, records(rows), place, done)
        # The viewer lists only names of this form. The run's time keeps the name stable.
        began = run.started
        task = f"{model}-{benchmark}".replace("_", "-")
        name = f"{began:%Y-%m-%dT%H-%M-%S}+00-00_{task}_{data['eval']['task_id']}.json"
        yield name, json.dumps(data, indent=1) + "\n"


def _log(
    package: Package,
    rows: Sequence[Mapping[str, Any]],
    place: EvaluationDirectory,
    done: Completion | None,
) -> dict[str, Any]:
    first = rows[0]
    key = f"{package.run}/{first['model']}/{first['benchmark']}"
    identity = done.identity if done else {}
    samples: list[dict[str, Any]] = []
    unread = ""
    try:
        if done:
            samples = list(itertools.islice(_samples(place, first), MAX_SAMPLES))
    except EvaluationError as error:  # the scores are still available
        unread = f"cannot be read: {error}"
    total = max((int(row["n"]) for row in rows if _known(row["n"])), default=len(samples))
    cut = len(samples) == MAX_SAMPLES < total
    failed = first["status"] == "failed"
    return {
        "version": 2,
        "status": "error" if failed else "success",
        "eval": {
            "run_id": package.run,
            "eval_id": _id(f"{key}@{first['fingerprint']}"),
            "task_id": _id(key),
            "created": _time(done.started) if done else _time(package.run),
            "task": str(first["benchmark"]),
            "task_args": {},
            "tags": [f"{name}:{value}" if value else name for name, value in package.tags.items()],
            "dataset": {"name": identity.get("task") or first["benchmark"], "samples": total},
            "model": str(identity.get("model_id") or first["model"]),
            "model_generate_config": {},
            "model_args": {},
            "config": {"limit": identity.get("params", {}).get("limit_samples")},
            "packages": {"snakeval": __version__},
            "metadata": {
                "snakeval_key": key,
                "model": first["model"],
                "run_complete": not package.partial,
                "samples": unread or (f"the first {len(samples)}" if cut else "all"),
                "fingerprint": first["fingerprint"],
                "identity": identity,
            },
        },
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": {
            "total_samples": total,
            "completed_samples": total,
            "scores": [] if failed else list(_scores(rows)),
        },
        "stats": {
            "started_at": _time(done.started) if done else "",
            "completed_at": _time(done.finished) if done else "",
            "model_usage": {},
        },
        # Absent rather than null without an error: the viewer's list reads only a file's head.
        **({"error": dict.fromkeys(_ERROR, str(first["reason"]))} if failed else {}),
        "samples": samples,
    }


def _scores(rows: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a score for each metric and filter: its value and error, as Inspect's metrics."""
    for row in rows:
        name = "/".join(str(row[part]) for part in ("task", "metric", "filter") if row[part])
        metrics = {
            ending: {"name": ending, "value": float(row[column]), "params": {}}
            for column, ending in (("value", "mean"), ("stderr", "stderr"))
            if _known(row[column])
        }
        yield {"name": name, "scorer": str(row["metric"]), "params": {}, "metrics": metrics}


def _samples(place: EvaluationDirectory, row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the samples that the harness logged. Several answers to one question are epochs."""
    epochs: dict[tuple[str, str], int] = {}
    for sample in reading.read_samples(place):
        same = f"{sample.task}/{sample.id}" + (f"/{sample.filter}" if sample.filter else "")
        epochs[same, ""] = epoch = epochs.get((same, ""), 0) + 1
        choice = {"message": {"role": "assistant", "content": sample.answer}, "stop_reason": "stop"}
        yield {
            "id": same,
            "epoch": epoch,
            "input": sample.question,
            "target": sample.reference,
            "messages": [
                {"role": "user", "content": sample.question},
                {"role": "assistant", "content": sample.answer},
            ],
            "output": {"model": str(row["model"]), "choices": [choice]},
            "scores": {
                metric: {"value": value, "answer": sample.answer}
                for metric, value in sample.scores.items()
                if math.isfinite(value)
            },
            "metadata": {"group": sample.group} if sample.group else {},
        }


def _known(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _id(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:22]


def _time(text: str) -> str:
    """Return the time in ISO 8601 with a time zone, which the viewer requires."""
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        return f"{datetime.strptime(text[:19], '%Y-%m-%d-%H-%M-%S').isoformat()}+00:00"
