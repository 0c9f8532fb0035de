"""Builds the results table: a row for each model × benchmark × metric, and for missing results.

The source is the completion records. If the parser is newer than a record, it reads the raw results
again, so a better parser requires no evaluation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from snakeval.errors import EvaluationError
from snakeval.evaluation.directory import EvaluationDirectory, Incomplete, Kind
from snakeval.evaluation.record import Completion
from snakeval.files import write_atomically
from snakeval.ledger.plain_text import visible
from snakeval.results import health, readable
from snakeval.results.marks import Definitions, marks
from snakeval.results.money import Costs, Money
from snakeval.results.scores import current_metrics, intervals
from snakeval.run.directory import RunDirectory
from snakeval.run.plan import Planned
from snakeval.serving.directory import DeploymentDirectory

COLUMNS = (
    "model", "benchmark", "task", "metric", "filter", "value", "stderr", "ci_low", "ci_high",
    "ci_note", "n", "higher_is_better",
    "status", "reason", "harness", "image", "image_digest", "runtime", "limit_samples", "seconds",
    "attempt", "finished", "fingerprint", "path", "marks", "graded",
    "ungraded", "health", "warning",
)  # fmt: skip
#: Further columns if a model of the run has prices.
COSTS = ("cost", "currency", "cost_note")
_WHOLE = ("n", "graded", "ungraded", "limit_samples", "attempt")


def table(run: RunDirectory, plan: Sequence[Planned] | None = None) -> pd.DataFrame:
    """Return the results of *run*, or of one command's *plan*: finished, failed or missing.

    Columns are :data:`COLUMNS`. ``status`` is done, failed (``reason`` says why), pending or
    skipped; only done rows have a value. A metric without a score has a row "not scored" beside the
    sound ones. ``ci_low`` and ``ci_high`` are the value's 95 % interval. ``ci_note`` has the
    interval's method, or the reason if there is none (see
    :mod:`snakeval.results.statistics.samples`). ``graded`` and ``ungraded`` count samples if some
    have no score, as those whose request failed. ``marks`` are those of
    :mod:`snakeval.results.marks`. ``health`` is ok, unknown, or what :mod:`snakeval.results.health`
    found, such as ``12 % cut``; ``warning`` has its warnings in words. With prices, :data:`COSTS`
    are columns as well, and each row of an evaluation has the cost of the whole evaluation.
    """
    definitions = Definitions()
    items = run.plan() if plan is None else plan
    rows = [row for item in items for row in _rows(run, item, definitions)]
    mixed = definitions.mixed()
    for row in rows:
        if mark := mixed.get((row["model"], row["benchmark"])):
            row["marks"] = "; ".join(filter(None, (row.get("marks"), mark)))
    columns: tuple[str, ...] = COLUMNS
    if costs := Costs(run, items):
        columns += COSTS
        _add_costs(rows, {(item.model, item.benchmark): costs.of(item) for item in items})
    rows = [{n: visible(v) if isinstance(v, str) else v for n, v in row.items()} for row in rows]
    frame = pd.DataFrame(rows, columns=columns)
    # Without this, whole numbers become floats if some are missing.
    return frame.astype(dict.fromkeys(_WHOLE, "Int64"))


def _add_costs(rows: list[dict[str, Any]], costs: Mapping[tuple[str, str], Money | None]) -> None:
    for row in rows:
        cost = costs[row["model"], row["benchmark"]]
        if cost is not None and row["status"] != "skipped":
            row |= dict(zip(COSTS, (cost.value, cost.currency, cost.note or None), strict=True))


def _rows(run: RunDirectory, item: Planned, definitions: Definitions) -> Iterator[dict[str, Any]]:
    base: dict[str, Any] = {"model": item.model, "benchmark": item.benchmark}
    if item.left_out:
        yield {**base, "status": "skipped", "reason": item.left_out}
        return
    directory = run.evaluation(item.source)
    base |= {"fingerprint": item.fingerprint, "path": item.source}
    done = directory.find_completion(item.fingerprint)
    if isinstance(done, Incomplete):
        # If a model's deployment failed, all its evaluations fail and never start.
        deployment = DeploymentDirectory.of(run, item.same_as or item.model)
        if reason := directory.failure_reason() or deployment.failure_reason():
            found = health.of_failure(directory)
            cell = found.cell if found else None
            yield {**base, "status": "failed", "reason": reason, "health": cell}
        else:
            known = _pending(directory, item.fingerprint, done)
            yield {**base, "status": "pending", "reason": known}
        return
    verdict = health.verdict(directory, done)
    base |= {
        "health": verdict.cell,
        "warning": verdict.warning or None,
        "status": "done",
        "harness": done.identity.get("harness"),
        "image": done.image,
        "image_digest": done.image_digest,
        "runtime": done.runtime,
        "limit_samples": _limit(done),
        "seconds": done.seconds,
        "attempt": done.attempt,
        "finished": done.finished,
        "marks": "; ".join(marks(directory, done)) or None,
    }
    definitions.add(item.model, item.benchmark, done)
    try:
        metrics = current_metrics(directory, done)
    except EvaluationError as error:
        yield {**base, "status": "failed", "reason": f"cannot be read again: {error}"}
        return
    for metric, interval in zip(metrics, intervals(directory, done, metrics), strict=True):
        yield {
            **base,
            "task": metric.task,
            "metric": metric.metric,
            "filter": metric.filter,
            "value": metric.value,
            "stderr": metric.stderr,
            "ci_low": interval.low,
            "ci_high": interval.high,
            "ci_note": interval.note,
            "n": metric.n,
            "graded": interval.graded or None,
            "ungraded": interval.ungraded or None,
            "higher_is_better": metric.higher_is_better,
        }
    sound = {(metric.task, metric.metric, metric.filter) for metric in metrics}
    for lost in done.unscored:
        if (lost["task"], lost["metric"], lost["filter"]) not in sound:
            yield {**base, **lost, "status": "not scored"}


def _limit(done: Completion) -> int | None:
    found = done.identity.get("params", {}).get("limit_samples")
    return found if type(found) is int and abs(found) < 2**63 else None  # a column has 64 bits


def _pending(directory: EvaluationDirectory, fingerprint: str, why: Incomplete) -> str | None:
    """Describe what is known of an evaluation that has neither finished nor failed."""
    try:
        number = directory.unended_attempt(fingerprint)
    except OSError as error:
        return f"{error.filename} cannot be read ({error.strerror})"
    if number:
        return f"attempt {number} {_unended(directory)}"
    return why.reason if why.kind in (Kind.ARTIFACTS, Kind.DAMAGED, Kind.UNREADABLE) else None


def _unended(directory: EvaluationDirectory) -> str:
    """Describe an attempt that has not ended, judged by its lease."""
    try:
        holder = directory.holder()
    except (OSError, ValueError):
        lives = None
    else:
        lives = holder is not None and holder.lives
    if lives is None:
        return "has not ended: it runs, or was interrupted"
    return "runs" if lives else "was interrupted"


def write(run: RunDirectory) -> pd.DataFrame:
    """Write the table of *run* as CSV, JSON (a list of rows) and Markdown; return it."""
    frame = table(run)
    csv, json_file, markdown = run.tables
    write_atomically(csv, readable.to_csv(frame))
    write_atomically(json_file, json.dumps(records(frame), indent=1, allow_nan=False) + "\n")
    write_atomically(markdown, to_markdown(frame) + "\n")
    run.note_table()
    return frame


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows as plain data, with None for missing values."""
    # DataFrame.to_json would round. The table keeps every digit of the harness's scores.
    rows = frame.astype(object).where(frame.notna(), None).to_dict(orient="records")
    return [{str(column): value for column, value in row.items()} for row in rows]


def to_markdown(frame: pd.DataFrame) -> str:
    """Return the readable table in Markdown."""
    return readable.to_markdown(records(frame))


def shown(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the readable table: value ± standard error, interval, status and reason."""
    rows = records(frame)
    texts = [readable.cells(row) for row in rows]
    return pd.DataFrame(texts, columns=readable.columns(rows))
