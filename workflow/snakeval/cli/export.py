"""``snakeval export``: a run's results elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from snakeval.cli.output import emit, json_switch, wants_json
from snakeval.errors import ConfigError
from snakeval.run import target
from snakeval.run.target import Target

_FORMATS = ("json", "csv", "parquet", "markdown", "inspect")


def _complete(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    from snakeval.exporters import names

    return [name for name in names() if name.startswith(typed)]


@click.command("export", short_help="Write a run's results as files, or send them to a service")
@click.argument("ids", nargs=-1, required=True, metavar="ID...", shell_complete=target.complete)
@click.option(
    "--dest",
    "destinations",
    multiple=True,
    metavar="NAME",
    shell_complete=_complete,
    help="A destination: local, wandb, mlflow, gsheets, or an installed one; may be given several "
    "times.  [default: those of the run's configuration, or else local]",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set an option of the destination, instead of the value in the run's configuration. "
    "Separate the items of a list by commas.",
)
@click.option(
    "--artifacts",
    multiple=True,
    metavar="PATTERN",
    help="Also send files whose name, or path below an evaluation, matches: 'results*.json'.",
)
@click.option("--tag", "tags", multiple=True, metavar="KEY[=VALUE]", help="Tag what is sent.")
@click.option(
    "--format",
    "formats",
    type=click.Choice(_FORMATS),
    multiple=True,
    help="Which files of local; may be given several times.  [default: json, csv, markdown]",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="The directory of local.  [default: export/ in the run's own]",
)
@json_switch
def command(
    ids: Sequence[str],
    destinations: Sequence[str],
    settings: Sequence[str],
    artifacts: Sequence[str],
    tags: Sequence[str],
    formats: Sequence[str],
    output: Path | None,
) -> int:
    """Write the results of runs as files, or send them to a service.

    A second export of a run updates the first and duplicates nothing. Unfinished evaluations are
    also sent, with a status and no value, and a partial run is marked as partial. Credentials
    come from the environment only. The exit code is 1 if something did not arrive.

    \b
    snakeval export 8b1a --dest local
    snakeval export 8b1a 77fe --format parquet --output lake
    snakeval export 8b1a --dest wandb --set project=evals --artifacts 'results*.json'
    snakeval export 8b1a --dest mlflow --set tracking_uri=http://localhost:5000 --tag team=nlp
    """
    targets = list(dict.fromkeys(map(target.find, ids)))
    for each in targets:
        if each.model:
            raise ConfigError(f"{each.name}: a run is exported as a whole; write {each.entry.id}")
        each.run.plan()
    given = _given(settings, artifacts, tags)
    if formats:
        given["formats"] = formats
    from snakeval.exporters import delivery, find

    work = []
    for each in targets:
        title, configured = delivery.destinations(each.run)
        names = list(dict.fromkeys(destinations)) or list(configured) or ["local"]
        if len(names) > 1 and (settings or formats or output):
            raise ConfigError(
                f"--set, --format and --output are of one destination, and here are "
                f"{' and '.join(names)}; choose one with --dest"
            )
        for name in names:
            values = _over(configured.get(name) or {}, given)
            if output:
                values["output_dir"] = str(output / each.run.name if len(targets) > 1 else output)
            work.append((each, each.entry.name or title, name, find(name, values)))
    rows: list[dict[str, object]] = []
    for each, title, name, exporter in work:
        result = delivery.deliver(each.run, title, name, exporter, _say)
        if not wants_json():
            _print_places(result.delivered)
        _tell(each, name, result.undelivered, len(result.delivered))
        if result.partial:
            _say(f"{each.entry.id} is {result.partial}")
        delivery.renew_note(each.run, name, result)
        rows.append({"id": each.entry.id, "destination": name, **asdict(result)})
    if wants_json():
        emit(rows)
    return int(any(row["undelivered"] for row in rows))


def _print_places(delivered: Mapping[str, Sequence[str]]) -> None:
    for places in delivered.values():
        for place in places:
            click.echo(place)


def _given(
    settings: Iterable[str], artifacts: Sequence[str], tags: Iterable[str]
) -> dict[str, Any]:
    """The options of the command line; ``tags.team=nlp`` is one tag."""
    given: dict[str, Any] = {}
    for text in settings:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise ConfigError("--set: write KEY=VALUE, such as project=evals")
        above, dot, name = key.partition(".")
        if dot:
            given.setdefault(above, {})[name] = value
        else:
            given[key] = value
    if artifacts:
        given["artifacts"] = artifacts
    for text in tags:
        key, _, value = text.partition("=")
        given.setdefault("tags", {})[key] = value
    return given


def _over(configured: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Lay what is given over what is configured; a mapping key by key."""
    values = dict(configured)
    for key, value in given.items():
        below = values.get(key)
        if isinstance(value, dict) and isinstance(below, list):
            below = dict.fromkeys(below, "")
        values[key] = {**below, **value} if isinstance(below, dict) else value
    return values


def _say(line: str) -> None:
    click.echo(line, err=True)


def _tell(each: Target, name: str, undelivered: dict[str, str], arrived: int) -> None:
    """Say what did not arrive: every reason once, with whom it concerns."""
    by_reason: dict[str, list[str]] = {}
    for key, reason in undelivered.items():
        by_reason.setdefault(reason, []).append(key.removeprefix(f"{each.run.name}/"))
    for reason, keys in by_reason.items():
        shown = ", ".join(keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
        _say(f"snakeval: {name}: {shown} did not arrive ({arrived} did): {reason}")
