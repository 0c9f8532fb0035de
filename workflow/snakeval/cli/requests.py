"""``snakeval requests``: what an evaluation asked its models, and what they answered."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any

import click

from snakeval.cli.output import emit, json_switch, show, wants_json, zoned
from snakeval.errors import ConfigError
from snakeval.evaluation import requests
from snakeval.evaluation.amounts import rates_text
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.files import DAMAGE
from snakeval.ledger.plain_text import visible
from snakeval.ledger.reading import Stored, stored
from snakeval.run import target
from snakeval.run.target import Target

#: How many requests a list has, unless more are wanted.
_LISTED = 50
_COLUMNS = ("id", "model", "time", "route", "status", "finish", "tokens", "seconds", "answer")


@click.command("requests", short_help="List the requests of an evaluation and their answers")
@click.argument("which", metavar="ID/MODEL/BENCHMARK", shell_complete=target.complete)
@click.argument("request", metavar="[REQUEST]", required=False)
@click.option("--status", type=int, help="Only answers with this HTTP status.")
@click.option("--finish", help="Only answers that ended for this reason, such as length.")
@click.option("--slow", type=float, metavar="SECONDS", help="Only answers that took longer.")
@click.option("--empty", is_flag=True, help="Only answers without a text.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(min=0),
    default=_LISTED,
    show_default=True,
    help="List so many; 0 lists all.",
)
@json_switch
@click.option("--jsonl", is_flag=True, help="Print every request with its answer as a JSON line.")
def command(
    which: str,
    request: str | None,
    status: int | None,
    finish: str | None,
    slow: float | None,
    empty: bool,
    lines: int,
    jsonl: bool,
) -> None:
    """List what an evaluation asked its models, or show one REQUEST with its answer.

    The journals have all prompts and answers in clear. They are in the evaluation's `requests/`.

    \b
    snakeval requests 8b1a/llama/ifeval --finish length
    snakeval requests 8b1a/llama/ifeval 3f9a6c01d2e4
    snakeval requests 8b1a/llama/ifeval --jsonl > requests.jsonl
    """
    found = target.find(which)
    if not found.benchmark:
        raise _several(found)
    directory = found.run.evaluation(f"{found.model}/{found.benchmark}")
    _refuse_unasked(found, directory)
    chosen = (
        one
        for one in _stored(directory)
        if (status is None or one.answer.meta["status"] == status)
        and (finish is None or finish in one.finish)
        and (slow is None or one.answer.meta.get("whole", 0.0) > slow)
        and (not empty or one.is_empty)
    )
    if request:
        _show_one(chosen, request, found.name)
    elif jsonl:
        for one in chosen:
            click.echo(_json(_whole(one)))
    elif wants_json():
        emit([_whole(one) for one in islice(chosen, lines or None)])
    else:
        _list(directory, chosen, lines)


def _several(which: Target) -> ConfigError:
    """Return the error of a run or a model, of which one evaluation must be chosen."""
    there = [each.id for each in which.run.plan() if which.covers(each.model, each.benchmark)]
    first = f"`snakeval requests {which.entry.id}/{there[0]}`" if there else "ID/MODEL/BENCHMARK"
    more = f" (it has {', '.join(there[:5])}{', …' if len(there) > 5 else ''})" if there else ""
    hint = f"write {first}, or another of its evaluations{more}"
    return ConfigError("choose one evaluation", where=which.name, hint=hint)


def _refuse_unasked(which: Target, directory: EvaluationDirectory) -> None:
    """Check that the evaluation has sent a request.

    Raises:
        ConfigError: it has not; the message has its state.
    """
    if any(directory.requests.glob("*/*.journal")) or requests.read(directory):
        return
    from snakeval.watch.states import states  # slow to import

    (state,) = states(which.run, only=which.covers)
    why = f"{state.state}{f': {state.reason}' if state.reason else ''}"
    raise ConfigError(f"{which.name}: has no stored requests: it is {why}")


def _stored(directory: EvaluationDirectory) -> Iterator[Stored]:
    try:
        yield from stored(directory.requests)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{directory.requests}: cannot be read ({error})") from None


def _list(directory: EvaluationDirectory, chosen: Iterator[Stored], lines: int) -> None:
    rates = _rates(directory)
    for name, each in requests.read(directory).items():
        parts = filter(None, (sentence(each), rates.get(name, "")))
        click.echo(f"{name}: {', '.join(parts)}", err=True)
    rows = [_row(one) for one in islice(chosen, lines or None)]
    left = sum(1 for _ in chosen)
    empty = "No such request is in the journal."
    if not any(directory.requests.glob("*/*.journal")):
        empty = "It has no journal: `ledger` keeps none, or `snakeval clean` removed it."
    show(rows, _COLUMNS, as_json=False, empty=empty)
    if left:
        click.echo(f"and {left} more; -n 0 lists all", err=True)


def _rates(directory: EvaluationDirectory) -> dict[str, str]:
    """Return the rates of each model, if the newest attempt of the evaluation is finished."""
    from snakeval.evaluation.health import Health

    try:
        record = next(iter(directory.records()), None)
        if record is None or record.attempt != directory.read_attempt().number:
            return {}
    except (OSError, *DAMAGE):
        return {}
    models = Health.read(record.health).models
    return {n: rates_text(a.requests_per_second, a.tokens_per_second) for n, a in models.items()}


def sentence(counts: requests.Counts) -> str:
    """Return the counts of a model's requests for people."""
    parts = [f"{counts.requests} requests", f"{counts.replayed} from the journal"]
    if counts.failed:
        parts.append(f"{counts.failed} failed")
    if counts.not_asked_again:
        parts.append(f"{counts.not_asked_again} stored answers were not requested again")
    if counts.latency:
        whole = counts.latency["whole"]
        parts.append(f"median {whole['median']:.2f} s, p99 {whole['p99']:.2f} s")
    return ", ".join(parts)


def _row(one: Stored) -> dict[str, object]:
    meta = one.answer.meta
    return {
        "id": one.id,
        "model": one.upstream,
        "time": _time(meta),
        "route": f"{meta['method']} {meta['path'].partition('?')[0]}",
        "status": meta["status"],
        "finish": ", ".join(one.finish),
        "tokens": (meta.get("tokens") or {}).get("completion"),
        "seconds": f"{meta.get('whole', 0.0):.2f}",
        "answer": _text(one.response())[:60],
    }


def _time(meta: dict[str, Any]) -> str:
    moment = datetime.fromtimestamp(meta.get("time", 0.0)).astimezone()
    return moment.strftime("%Y-%m-%d %H:%M:%S %Z")


def _text(response: Any) -> str:
    """Return the first text of an answer in one line."""
    choices = response.get("choices") if isinstance(response, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") or {} if isinstance(choice, dict) else None
    if isinstance(choice, dict) and isinstance(message, dict):
        response = choice.get("text") or message.get("content") or ""
    elif isinstance(response, dict):
        response = json.dumps(response)
    return " ".join(str(response).split())


def _whole(one: Stored) -> dict[str, Any]:
    meta = dict(one.answer.meta)
    return {
        "id": one.id,
        "model": one.upstream,
        "number": one.number,
        "time": zoned(datetime.fromtimestamp(meta["time"])) if "time" in meta else None,
        **{name: meta.pop(name) for name in ("method", "path", "status") if name in meta},
        "request": one.request(),
        "response": one.response(),
        "meta": meta,
    }


def _json(data: dict[str, Any], indent: int | None = None) -> str:
    """Return JSON in which characters that a terminal obeys or hides are escaped."""
    text = json.dumps(data, ensure_ascii=False, indent=indent)
    if visible(text) == text:
        return text
    return "".join(char if visible(char) == char else json.dumps(char)[1:-1] for char in text)


def _show_one(chosen: Iterator[Stored], request: str, name: str) -> None:
    found = [one for one in chosen if one.id.startswith(request) or request == one.key.hex()]
    exact = [one for one in found if one.id == request]
    if found and wants_json():
        emit([_whole(one) for one in exact or found])
        return
    for one in exact or found:
        click.echo(_json(_whole(one), indent=1))
    if not found:
        raise ConfigError(f"{name}: no request '{request}'; list them without it")
