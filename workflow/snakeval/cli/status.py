"""``snakeval status``: shows how far runs are, from evidence alone."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from snakeval.cli.output import json_option
from snakeval.run import target

#: With more evaluations than this there are totals for each model, unless all are asked for.
MANY = 50


@click.command("status", short_help="Show how far runs are")
@click.argument(
    "ids", nargs=-1, metavar="[ID[/MODEL[/BENCHMARK]]]...", shell_complete=target.complete
)
@click.option("-w", "--watch", is_flag=True, help="Look again every 2 s, until all have ended.")
@click.option("--all", "everything", is_flag=True, help=f"A row each, also of more than {MANY}.")
@json_option
def command(ids: Sequence[str], watch: bool, everything: bool, as_json: bool) -> None:
    """Show whether each evaluation is done, runs, failed or waits, and where.

    Without an ID, status shows the active runs, or else the run that was started or resumed last.
    It reports "running" only if it can see a live process.

    \b
    snakeval status
    snakeval status 8b1a --watch
    snakeval status 8b1a/llama/ifeval
    """
    if watch and as_json:
        raise click.UsageError("--watch is for people, --json for programs; give one of them")
    targets = [target.find(text) for text in ids] if ids else target.current()
    if not targets:
        click.echo("[]" if as_json else "No run was started on this machine yet.", err=not as_json)
        return
    from snakeval.cli import status_picture  # without a run, nothing of a look is needed
    from snakeval.watch.view import look

    if watch:
        status_picture.watch(targets, everything)
        return
    views = [look(each) for each in targets]
    if as_json:
        click.echo(json.dumps([view.as_dict() for view in views], indent=1))
    else:
        status_picture.show(views, everything)
