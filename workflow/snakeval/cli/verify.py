"""``snakeval verify``: whether a run's files are what they were when it finished."""

from __future__ import annotations

from dataclasses import asdict

import click

from snakeval.cli.output import json_option, show
from snakeval.run import target


@click.command("verify", short_help="Check that a run's files have not changed since it finished")
@click.argument("wanted", metavar="ID", shell_complete=target.complete)
@json_option
def command(wanted: str, as_json: bool) -> int:
    """Recompute manifests and fingerprints, and report what has changed since the run finished.

    Exit codes: 0 nothing has changed; 1 something has; 2 bad input. ID/MODEL and
    ID/MODEL/BENCHMARK check a part.

    \b
    snakeval verify 8b1a
    """
    found = target.find(wanted)
    run = found.run
    plan = run.plan()
    from snakeval.results.marks import EARLIER
    from snakeval.results.verify import CHANGED, is_of_earlier_format, verify

    part = tuple(item for item in plan if found.covers(item.model, item.benchmark))
    findings, sound = verify(run, part)
    if findings or as_json:
        rows = [asdict(each) for each in findings]
        show(rows, ("where", "state", "what"), as_json=as_json)
    changed = sum(each.state == CHANGED for each in findings)
    if not as_json:
        planned = sum(not (item.left_out or item.same_as) for item in part)
        said = f"{changed} changed" if changed else "nothing was changed"
        click.echo(f"{sound} of {planned} evaluations are as they were; {said}", err=True)
        if earlier := sum(is_of_earlier_format(run, item) for item in part):
            click.echo(f"{earlier} of them have the {EARLIER}", err=True)
    return 1 if changed else 0
