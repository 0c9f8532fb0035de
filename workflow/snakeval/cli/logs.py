"""``snakeval logs``: what a run, a model's server or an evaluation printed, now or live."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from snakeval.cli.output import emit, json_switch, wants_json
from snakeval.errors import ConfigError
from snakeval.run import target
from snakeval.watch.follow import (
    _LOOK_SECONDS,
    _Evaluation,
    _Log,
    _Printer,
    _Run,
    _Server,
    log_start,
)


@click.command("logs", short_help="Print the log of a run, a model's server or an evaluation")
@click.argument("which", metavar="ID[/MODEL[/BENCHMARK]]", shell_complete=target.complete)
@click.option("-f", "--follow", is_flag=True, help="Follow the log until it ends.")
@click.option("-n", "--lines", type=click.IntRange(min=0), help="Print only this many last lines.")
@json_switch
def command(which: str, follow: bool, lines: int | None) -> None:
    """Print the log of an evaluation's newest attempt, of a model's server, or of a run.

    \b
    snakeval logs 8b1a/llama/ifeval -f
    snakeval logs 8b1a/llama -n 50       the model's server
    snakeval logs 8b1a                   Snakemake
    """
    if follow and wants_json():
        raise click.UsageError("--follow is for people, --json for programs; give one of them")
    found = target.find(which)
    log: _Log
    if found.benchmark:
        log = _Evaluation(found)
    elif found.model:
        log = _Server(found)
    else:
        log = _Run(found)
    if not log.files() and not follow:
        raise ConfigError(f"{found.name}: {log.absent()}")
    if wants_json():
        emit({"target": found.name, "files": [_read(path, lines) for path in log.files()]})
        return
    printer = _Printer(sys.stdout.buffer, lines)
    if not log.files():
        click.echo(f"{found.name}: {log.absent()}; waits for it", err=True)
    for note in log.notes():
        click.echo(note, err=True)
    printer.more(log.files())
    if follow:
        while not log.ended():
            time.sleep(_LOOK_SECONDS)
            printer.more(log.files())
        printer.more(log.files())
        click.echo(log.end(), err=True)


def _read(path: Path, lines: int | None) -> dict[str, object]:
    """Return the last *lines* lines of a log; None for all."""
    with path.open("rb") as file:
        file.seek(log_start(file, lines))
        text = file.read().decode("utf-8", errors="replace")
    return {"path": str(path), "lines": text.splitlines()}
