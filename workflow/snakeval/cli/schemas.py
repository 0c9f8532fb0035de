"""The data that each command prints with ``--json``, and their JSON schema.

Commands do not import this module. The published schema follows from it, and a test compares
both: ``python -m snakeval.cli.schemas > docs/json.schema.json``.

Long because one module has the type of each command's data.
"""

from __future__ import annotations

import json
from typing import (
    Any,
    Literal,
    NotRequired,  # pydantic takes typing's from Python 3.12 on
)

from pydantic import TypeAdapter
from typing_extensions import TypedDict

from snakeval.executors.base import Endpoint
from snakeval.results.verify import Finding
from snakeval.watch.state import State


class Problem(TypedDict):
    """One thing that is wrong with the input."""

    problem: str
    place: str
    hint: str


class Error(Problem):
    """The output of any command whose input is wrong."""

    exit_code: int
    others: list[Problem]


class Started(TypedDict):
    """A run after its command. Counts are null if the run has no directory yet."""

    id: str
    directory: str
    dry_run: bool
    exit_code: int
    done: int | None
    failed: int | None
    total: int | None
    process: int | None
    job: str | None
    log: str | None


class Head(TypedDict):
    """A Snakemake that works at a run; *lives* is null if only its host knows."""

    host: str
    pid: int
    lives: bool | None


class Spending(TypedDict):
    """The part of one limit of its budget that a run has spent."""

    spent: float | None
    limit: float


class Status(TypedDict):
    """How far a run is."""

    id: str
    name: str
    directory: str
    heads: list[Head]
    ended: bool
    evaluations: list[State]
    endpoints: list[Endpoint]
    notices: list[str]
    budget: NotRequired[dict[str, Spending]]


class LogFile(TypedDict):
    """The lines of one log."""

    path: str
    lines: list[str]


class Logs(TypedDict):
    """The logs of a run, a model's server or an evaluation."""

    target: str
    files: list[LogFile]


class Request(TypedDict):
    """A request of a harness, and its answer."""

    id: str
    model: str
    number: int
    time: str | None
    method: NotRequired[str]
    path: NotRequired[str]
    status: NotRequired[int]
    request: Any
    response: Any
    meta: dict[str, Any]


class Killed(TypedDict):
    """The states of evaluations after a stop, and what is left."""

    target: str
    was_running: bool
    left: list[str]
    evaluations: dict[str, str]


class Result(TypedDict):
    """A metric of an evaluation, or an evaluation without one."""

    model: str
    benchmark: str
    task: str | None
    metric: str | None
    filter: str | None
    value: float | None
    stderr: float | None
    ci_low: float | None
    ci_high: float | None
    ci_note: str | None
    n: int | None
    higher_is_better: bool | None
    status: str
    reason: str | None
    harness: str | None
    image: str | None
    image_digest: str | None
    runtime: str | None
    limit_samples: int | None
    seconds: float | None
    attempt: int | None
    finished: str | None
    fingerprint: str | None
    path: str | None
    marks: str | None
    graded: int | None
    ungraded: int | None
    health: str | None
    warning: str | None
    cost: NotRequired[float | None]
    currency: NotRequired[str | None]
    cost_note: NotRequired[str | None]


class Compared(TypedDict):
    """A benchmark of two runs. Without scores of both, only the verdict is known."""

    model: str
    benchmark: str
    metric: NotRequired[str]
    filter: NotRequired[str]
    baseline: NotRequired[float]
    candidate: NotRequired[float]
    difference: NotRequired[float | None]
    ci_low: NotRequired[float | None]
    ci_high: NotRequired[float | None]
    p: NotRequired[float | None]
    p_uncorrected: NotRequired[float | None]
    p_comparisons: NotRequired[int | None]
    n: NotRequired[int | None]
    n_baseline: NotRequired[int | None]
    n_candidate: NotRequired[int | None]
    ci_method: NotRequired[str | None]
    ci_reason: NotRequired[str | None]
    detectable: NotRequired[float | None]
    samples_better: NotRequired[list[str]]
    samples_worse: NotRequired[list[str]]
    verdict: str
    gate: str
    gate_verdict: str | None
    gate_reason: str
    note: str
    gate_overall: str | None


class Report(TypedDict):
    """The page of a run, or of several; ``id`` is the first one."""

    id: str
    runs: list[str]
    page: str


class CurvePoint(TypedDict):
    """A checkpoint on a curve, or a baseline, which has no series and no step."""

    run: str | None
    series: str | None
    benchmark: str
    task: str | None
    metric: str | None
    filter: str | None
    model: str
    step: str | None
    time: str | None
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int | None
    status: str
    reason: str | None
    best: bool
    last: bool
    baseline: bool


class Exported(TypedDict):
    """The files or places that a destination received, and those that failed with the cause."""

    id: str
    destination: str
    delivered: dict[str, list[str]]
    undelivered: dict[str, str]
    partial: str


Task = TypedDict(
    "Task", {"task": str, "harness": str, "endpoint types": list[str], "params": dict[str, Any]}
)
Model = TypedDict("Model", {"model": str, "type": str, "served": str, "in": list[str]})


class Run(TypedDict):
    """A run of this machine; *live* is null if only the *hosts* know."""

    id: str
    name: str
    started: str
    evaluations: str
    live: bool | None
    hosts: list[str]
    directory: str
    models: NotRequired[int]
    benchmarks: NotRequired[int]
    done: NotRequired[int]
    failed: NotRequired[int]
    total: NotRequired[int]


class Runtime(TypedDict):
    """A program that can start a harness or a model's server."""

    runtime: str
    answers: bool
    version: str
    problem: str


Profile = TypedDict(
    "Profile", {"profile": str, "whose": str, "--profile takes it": bool, "path": str}
)
Info = TypedDict(
    "Info",
    {
        "task": str, "harness": str, "harness name": str, "source": str, "image": str,
        "image digest": str, "without a container": bool, "endpoint types": list[str],
        "variables": dict[str, str], "params": dict[str, Any],
    },
)  # fmt: skip
Check = TypedDict(
    "Check", {"what": str, "state": Literal["ok", "no", "wrong"], "found": str, "to do": str}
)


class Written(TypedDict):
    """New files, and the commands that use them."""

    files: list[str]
    next: list[str]


class Link(TypedDict):
    """A profile that Snakemake finds by its name, or what is there in its place."""

    profile: str
    path: str
    linked: bool
    what: str


Cached = TypedDict(
    "Cached",
    {
        "kind": Literal["environment", "download"], "name": str, "path": str, "bytes": int,
        "modified": str, "in use": bool | None,
    },
)  # fmt: skip


class CleanedEvaluation(TypedDict):
    """An evaluation and the bytes that `clean` frees; *kept* says why it keeps something."""

    id: str
    requests: int
    attempts: int
    shared: int
    kept: str
    failed: bool


class CleanedRun(TypedDict):
    """The bytes that `clean` removed from a run, or would remove."""

    dry_run: bool
    bytes: int
    evaluations: list[CleanedEvaluation]


class Cleaned(TypedDict):
    """The entries that `cache clean` removed, or would remove."""

    removed: list[str]
    bytes: int
    dry_run: bool


class Completion(TypedDict):
    """The completion script of a shell."""

    shell: str
    script: str


class Help(TypedDict):
    """The help of a command."""

    command: str
    help: str


#: The type of each command's output, of errors, and of the results of several runs side by side.
DATA: dict[str, Any] = {
    "error": Error,
    **dict.fromkeys(("run", "follow", "eval", "resume", "rescore"), Started),
    "status": list[Status],
    "logs": Logs,
    "requests": list[Request],
    "kill": Killed,
    "clean": CleanedRun,
    "results": list[Result],
    "results of several runs": list[dict[str, str | float | None]],
    "report": Report,
    "curve": list[CurvePoint],
    "compare": list[Compared],
    "verify": list[Finding],
    "export": list[Exported],
    "ls tasks": list[Task],
    "ls models": list[Model],
    "ls runs": list[Run],
    "ls runtimes": list[Runtime],
    "ls profiles": list[Profile],
    "info": Info,
    "init": Written,
    "doctor": list[Check],
    "profiles install": list[Link],
    "cache ls": list[Cached],
    "cache clean": Cleaned,
    "completion": Completion,
    "help": Help,
}


def schema() -> dict[str, Any]:
    """Return the JSON schema of all commands, each of them below ``properties``."""
    wanted = [(name, "serialization", TypeAdapter(of)) for name, of in DATA.items()]
    found, definitions = TypeAdapter.json_schemas(wanted)  # type: ignore[arg-type]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "snakeval --json",
        "description": "A property for each command has the type of what the command prints.",
        "properties": {name: found[name, "serialization"] for name in DATA},
        **definitions,
    }


def text() -> str:
    """Return the schema as the published file has it."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    print(text(), end="")
