"""``snakeval report``: the page of a run, made anew from its records."""

from __future__ import annotations

import click

from snakeval.errors import ConfigError
from snakeval.run import plan, target


@click.command("report", short_help="The report of a run, as a page for a browser.")
@click.argument("wanted", metavar="ID", shell_complete=target.complete)
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
def command(wanted: str, opens: bool) -> None:
    """Make the report of a run, whatever is finished, failed or missing, and print where it is.

    A run makes it by itself when it ends; this is for one that has not, or that went on since. Its
    samples are in the directory report/ beside it: move the two together.

    \b
    snakeval report 8b1a --open
    """
    found = target.find(wanted)
    if found.model:
        raise ConfigError(f"{found.name}: a report is of a whole run; write {found.entry.id}")
    plan.planned(found.run)  # in one sentence, where it is not there
    from snakeval.results import report

    try:
        page = report.write(found.run)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or found.run}: cannot be written ({error.strerror})"
        ) from None
    click.echo(page)
    if opens:
        click.launch(page.resolve().as_uri())
