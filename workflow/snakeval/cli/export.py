"""``snakeval export``: a run's results elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from snakeval import evidence
from snakeval.cli import target
from snakeval.errors import ConfigError, did_you_mean

_FORMATS = ("json", "csv", "parquet", "markdown")
_LATER = ("wandb", "mlflow", "gsheets")


@click.command("export", short_help="Write a run's results elsewhere.")
@click.argument("ids", nargs=-1, required=True, metavar="ID...", shell_complete=target.complete)
@click.option("--dest", default="local", show_default=True, help="Where to: local.")
@click.option(
    "--format",
    "formats",
    type=click.Choice(_FORMATS),
    multiple=True,
    help="Which files; may be given several times.  [default: json, csv, markdown]",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="The directory.  [default: export/ in the run's own]",
)
def command(ids: Sequence[str], dest: str, formats: Sequence[str], output: Path | None) -> None:
    """Write the results of runs as files. Doing it again writes only what has changed.

    What is missing is in the files, too: its rows have a status and no value, and a partial run
    says so.

    \b
    snakeval export 8b1a --dest local
    snakeval export 8b1a 77fe --format parquet --output lake
    """
    if dest in _LATER:
        raise ConfigError(
            f"--dest {dest}: comes with a later version; write --dest local, whose JSON and CSV "
            "it can read"
        )
    if dest != "local":
        known = ("local", *_LATER)
        raise ConfigError(f"--dest {dest}: no such destination{did_you_mean(dest, known)}")
    targets = list(dict.fromkeys(map(target.find, ids)))
    for each in targets:
        if each.model:
            raise ConfigError(f"{each.name}: a run is exported as a whole; write {each.entry.id}")
        evidence.planned(each.run)
    from snakeval import export

    for each in targets:
        results = export.read(each.run, each.entry.name)
        place = output or each.run / "export"
        if output and len(targets) > 1:
            place = output / each.run.name
        written = export.write(results, formats or ("json", "csv", "markdown"), place)
        for path, new in written.items():
            click.echo(f"{path}{'' if new else '  (as it was)'}")
        if results.partial:
            click.echo(f"{each.entry.id} is {results.partial}", err=True)
