"""``snakeval report``: rebuilds the page of a run from its records."""

from __future__ import annotations

from collections.abc import Sequence

import click

from snakeval.cli.baseline_option import baseline, baseline_option
from snakeval.cli.output import emit_or_say, json_switch
from snakeval.errors import ConfigError
from snakeval.run import target


@click.command("report", short_help="Build the report of a run, a page for a browser")
@click.argument("wanted", required=False, metavar="[ID]", shell_complete=target.complete)
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
@baseline_option
@json_switch
def command(wanted: str | None, opens: bool, baselines: Sequence[str]) -> None:
    """Build the report of a run, whatever is finished, failed or missing, and print its path.

    A run builds its report when it ends. Use this command before that, or after a change. The
    samples are in the directory report/ beside the page, as are the curves of a series of
    checkpoints: move the two together. Without an ID, the run is the one that was started or
    resumed last.

    \b
    snakeval report 8b1a --open
    snakeval report 8b1a --baseline 77fe/base
    """
    found = target.find(wanted) if wanted else target.last()
    if found.model:
        raise ConfigError(f"{found.name}: a report is of a whole run; write {found.entry.id}")
    from snakeval.results import report

    run = found.run
    run.plan()  # a run without one fails before anything is written
    try:
        page = report.write(run, [baseline(name) for name in dict.fromkeys(baselines)])
    except OSError as error:
        raise ConfigError(
            f"{error.filename or run}: cannot be written ({error.strerror})"
        ) from None
    emit_or_say({"id": found.entry.id, "page": str(page)}, str(page))
    if opens:
        click.launch(page.resolve().as_uri())
