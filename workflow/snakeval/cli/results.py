"""``snakeval results``: the table of one run or of several, rebuilt from the records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from snakeval.cli import api
from snakeval.cli.output import format_option, json_switch, wants_json
from snakeval.cli.strict_option import WARNED, is_strict, strict_option
from snakeval.run import target
from snakeval.run.target import Target

if TYPE_CHECKING:
    import pandas as pd

#: The columns that identify a row in the tables of several runs.
_KEYS = ["model", "benchmark", "task", "metric", "filter"]


@click.command(
    "results", short_help="Print the results table of one run, or of several side by side"
)
@click.argument("ids", nargs=-1, metavar="[ID]...", shell_complete=target.complete)
@strict_option
@format_option
@json_switch
def command(ids: Sequence[str], form: str) -> int:
    """Print the results of a run, whatever is finished, failed or missing.

    Without an ID, they are those of the run that was started or resumed last.
    With several runs, each metric is a row, and each run is a column with the run's name and id.
    ID/MODEL and ID/MODEL/BENCHMARK show a part. With --strict, the exit code is 1 if an evaluation
    is not done.

    \b
    snakeval results 8b1a
    snakeval results 8b1a 77fe --format csv > both.csv
    """
    form = "json" if wants_json() else form
    targets = list(dict.fromkeys(map(target.find, ids))) or [target.last()]
    frames = [api.frame(each) for each in targets]
    if len(frames) == 1:
        _print_one(frames[0], form)
    else:
        _print_several(dict(zip(_labels(targets), frames, strict=True)), form)
    if not is_strict():
        return 0
    if any(frame["status"].isin(["failed", "pending"]).any() for frame in frames):
        return 1
    return WARNED if any(frame["warning"].notna().any() for frame in frames) else 0


def _labels(targets: Sequence[Target]) -> list[str]:
    """``name id``, or the directory's name where runs share these."""
    short = [f"{each.entry.name} {each.name}".strip() for each in targets]
    return [
        label if short.count(label) == 1 else each.run.name
        for label, each in zip(short, targets, strict=True)
    ]


def _print_one(frame: pd.DataFrame, form: str) -> None:
    from snakeval.results.readable import to_csv
    from snakeval.results.table import records, shown, to_markdown

    if form == "csv":
        click.echo(to_csv(frame), nl=False)
    elif form == "json":
        click.echo(json.dumps(records(frame), indent=1))
    elif form == "markdown":
        click.echo(to_markdown(frame))
    else:
        _table(shown(frame))


def _print_several(frames: dict[str, pd.DataFrame], form: str) -> None:
    from snakeval.results.readable import to_csv
    from snakeval.results.table import records, shown

    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    readable = form in ("table", "markdown")
    for label, frame in frames.items():
        texts = shown(frame)
        for number, record in enumerate(frame[[*_KEYS, "value", "status"]].to_dict("records")):
            text = texts["value"][number] or str(record["status"])
            value = text if readable else record["value"]
            rows.setdefault(tuple(_plain(record[key]) for key in _KEYS), {})[label] = value
    _spread_missing(rows, readable)
    import pandas as pd

    frame = pd.DataFrame(
        [dict(zip(_KEYS, key, strict=True)) | row for key, row in rows.items()],
        columns=[*_KEYS, *frames],
    )
    if form == "csv":
        click.echo(to_csv(frame), nl=False)
    elif form == "json":
        click.echo(json.dumps(records(frame), indent=1))
    else:
        frame = frame.drop(columns="task").fillna("")
        if form == "markdown":
            click.echo(frame.to_markdown(index=False, disable_numparse=True))
        else:
            _table(frame)


def _spread_missing(rows: dict[tuple[Any, ...], dict[str, Any]], readable: bool) -> None:
    """Put what one run has not done, and so has no metrics of, into the rows of the others'."""
    for key in [key for key in rows if not key[3]]:
        same = [other for other in rows if other[:2] == key[:2] and other[3]]
        if not same:
            continue
        missing = rows.pop(key)
        for other in same if readable else ():
            for label, status in missing.items():
                rows[other].setdefault(label, status)


def _plain(value: Any) -> Any:
    return "" if value is None or value != value else value  # NaN


def _table(frame: pd.DataFrame) -> None:
    from snakeval.cli.output import show

    rows = frame.to_dict("records")
    show(rows, [str(column) for column in frame.columns], as_json=False)  # type: ignore[arg-type]
