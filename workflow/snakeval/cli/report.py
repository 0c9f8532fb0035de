"""``snakeval report``: rebuilds the page of a run from its records, or one page of several runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from snakeval.cli.baseline_option import baseline, baseline_option
from snakeval.cli.output import emit_or_say, json_switch
from snakeval.errors import ConfigError
from snakeval.run import target
from snakeval.run.index import Entry


@click.command("report", short_help="Build the report of runs, a page for a browser")
@click.argument("wanted", nargs=-1, metavar="[ID]...", shell_complete=target.complete)
@click.option("--open", "opens", is_flag=True, help="Open it in the browser.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the page of several runs to FILE.  [default: report-ID-ID.html]",
)
@baseline_option
@json_switch
def command(
    wanted: Sequence[str], opens: bool, output: Path | None, baselines: Sequence[str]
) -> None:
    """Build the report of a run, whatever is finished, failed or missing, and print its path.

    A run builds its report when it ends. Use this command before that, or after a change. The
    samples are in the directory report/ beside the page, as are the curves of a series of
    checkpoints: move the two together. Without an ID, the run is the one that was started or
    resumed last.

    With several IDs, one page has the models and benchmarks of all runs. If two runs have the same
    evaluation, each run has its own row with its date.

    \b
    snakeval report 8b1a --open
    snakeval report 8b1a 77fe -o models.html
    snakeval report 8b1a --baseline 77fe/base
    """
    entries = _entries(wanted)
    if output is not None and len(entries) == 1:
        raise ConfigError(
            "--output: is for several runs; the report of one run is in its directory"
        )
    from snakeval.results import report

    runs = [entry.run for entry in entries]
    for run in runs:
        run.plan()  # a run without one fails before anything is written
    sources = [baseline(name) for name in dict.fromkeys(baselines)]
    ids = [entry.id for entry in entries]
    page = runs[0].report if len(runs) == 1 else output or Path(f"report-{'-'.join(ids)}.html")
    try:
        if len(runs) == 1:
            report.write(runs[0], sources)
        else:
            report.write_several(runs, page, sources)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or page}: cannot be written ({error.strerror})"
        ) from None
    emit_or_say({"id": ids[0], "runs": ids, "page": str(page)}, str(page))
    if opens:
        click.launch(page.resolve().as_uri())


def _entries(wanted: Sequence[str]) -> list[Entry]:
    """Return each run once; the last one if none is *wanted*."""
    found = [target.find(text) for text in wanted] or [target.last()]
    for each in found:
        if each.model:
            raise ConfigError(f"{each.name}: a report is of a whole run; write {each.entry.id}")
    return list({each.run.absolute(): each.entry for each in found}.values())
