"""``snakeval clean``: removes what finished evaluations no longer need."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from snakeval.cli.output import emit, json_option, note, show
from snakeval.run import target

if TYPE_CHECKING:
    from snakeval.watch.clean import Cleaned

FAILED = 1
#: How many evaluations that keep something are listed.
_LISTED = 20
#: The consequences of the loss of stored requests.
_LOSS = (
    "Without them, `snakeval requests` lists nothing, `snakeval rescore` cannot score these "
    "evaluations again,\nand they answer no other run (`--config answers=`). Scores, counts, costs "
    "and health stay."
)


@click.command(
    "clean", short_help="Remove stored requests and failed attempts of finished evaluations"
)
@click.argument("which", metavar="ID[/MODEL[/BENCHMARK]]", shell_complete=target.complete)
@click.option("--requests", is_flag=True, help="Remove stored requests and answers.")
@click.option("--failed-attempts", is_flag=True, help="Remove attempts without a result.")
@click.option("-n", "--dry-run", is_flag=True, help="List what can be removed; remove nothing.")
@click.option("-y", "--yes", is_flag=True, help="Remove without a question.")
@json_option
def command(
    which: str, requests: bool, failed_attempts: bool, dry_run: bool, yes: bool, as_json: bool
) -> int:
    """Remove stored requests, failed attempts, or both, of the finished evaluations of a run.

    Results, artifacts, logs and the counts of the requests stay, so `resume` repeats no finished
    evaluation. An evaluation that is not finished, or that a job works at, loses nothing. If one
    is in use, or a file cannot be removed, the exit code is 1.

    \b
    snakeval clean 8b1a --requests --dry-run
    snakeval clean 8b1a/llama/ifeval --requests --failed-attempts
    """
    if not (requests or failed_attempts):
        raise click.UsageError("choose --requests, --failed-attempts or both")
    if as_json and not (yes or dry_run):
        raise click.UsageError("--json asks no question; add --yes or --dry-run")
    found = target.find(which)
    from snakeval.watch.clean import What, clean, look

    what = What(requests, failed_attempts)
    if dry_run or not yes:
        planned = look(found, what)
        if not as_json:
            _list(planned)
        if dry_run or not any(each.places for each in planned):
            return _report(planned, dry_run=True, as_json=as_json)
        if requests:
            click.echo(_LOSS, err=True)
        if not sys.stdin.isatty():
            raise click.UsageError("this is no terminal to ask in; add --yes")
        if not click.confirm("Remove them?", err=True):
            click.echo("Nothing was removed")
            return 0
    cleaned = clean(found, what)
    if yes and not as_json:
        _list(cleaned)
    return _report(cleaned, dry_run=False, as_json=as_json)


def _report(parts: Sequence[Cleaned], *, dry_run: bool, as_json: bool) -> int:
    """Print what is free now, or would become free; return the exit code."""
    if as_json:
        emit(_data(parts, dry_run))
    else:
        click.echo(_summary(parts, "would become free" if dry_run else "are free now"))
    return FAILED if any(each.failed for each in parts) else 0


def _data(parts: Sequence[Cleaned], dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "bytes": sum(each.requests + each.attempts for each in parts),
        "evaluations": [
            {
                "id": each.id,
                "requests": each.requests,
                "attempts": each.attempts,
                "shared": each.shared,
                "kept": each.kept,
                "failed": each.failed,
            }
            for each in parts
        ],
    }


def _list(parts: Sequence[Cleaned]) -> None:
    rows = [
        {
            "evaluation": each.id,
            "requests": _size(each.requests),
            "failed attempts": _size(each.attempts),
        }
        for each in parts
        if each.places
    ]
    if rows:
        show(rows, tuple(rows[0]), as_json=False)
    # Those in use first: they are few, and each is worth another call.
    kept = sorted((each for each in parts if each.kept), key=lambda each: not each.failed)
    for each in kept[:_LISTED]:
        text = f"snakeval: {each.id} is kept, since {each.kept}"
        if each.failed:
            click.echo(text, err=True)
        else:
            note(text)
    if len(kept) > _LISTED:
        note(f"snakeval: and {len(kept) - _LISTED} more are kept")


def _summary(parts: Sequence[Cleaned], verb: str) -> str:
    having = [each for each in parts if each.places]
    if not having:
        return "Nothing to remove"
    noun = "evaluation" if len(having) == 1 else "evaluations"
    freed = _size(sum(each.requests + each.attempts for each in having))
    text = f"{freed} of {len(having)} {noun} {verb}"
    if shared := sum(each.shared for each in having):
        text += f"; {_size(shared)} stay, since other runs have links to them"
    return text


def _size(number: int) -> str:
    from rich.filesize import decimal

    return decimal(number)
