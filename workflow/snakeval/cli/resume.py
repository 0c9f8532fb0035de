"""``snakeval resume``: finish a run with its saved configuration."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snakeval import __version__
from snakeval.cli.budget_option import budget_option, budget_pair
from snakeval.cli.env_file import env_file_option
from snakeval.cli.launch.mode import place_of, place_options
from snakeval.cli.output import json_switch
from snakeval.cli.preflight_option import preflight_option
from snakeval.cli.profile_option import profile_names
from snakeval.cli.strict_option import strict_option
from snakeval.errors import ConfigError
from snakeval.files import DAMAGE
from snakeval.run.directory import RunDirectory
from snakeval.run.index import Entry, entries, find
from snakeval.watch import old_runs

if TYPE_CHECKING:
    from snakeval.config.config import Config
    from snakeval.config.load import Selection

#: The values of ``--ask-again``. Their module imports too much for ``--help``.
ASK_AGAIN = ("all", "unhealthy", "last")


def _ids(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    return [entry.id for entry in entries() if entry.id.startswith(typed)]


@click.command("resume", short_help="Resume an unfinished run, from any directory")
@click.argument("wanted", metavar="ID", shell_complete=_ids)
@click.option("-n", "--dry-run", is_flag=True, help="Print the plan; run nothing.")
@click.option(
    "--profile",
    shell_complete=profile_names,
    help="Run with this profile.  [default: the run's last profile]",
)
@click.option(
    "--ask-again",
    type=click.Choice(ASK_AGAIN),
    help="Drop these stored answers of unfinished evaluations, and request them again.",
)
@click.option(
    "--offline",
    is_flag=True,
    help="Answer all requests from the journals; a request that is not there fails.",
)
@env_file_option
@budget_option
@strict_option
@preflight_option
@place_options
@json_switch
@click.argument("options", nargs=-1, type=click.UNPROCESSED, metavar="[-- SNAKEMAKE OPTIONS]")
def command(
    wanted: str,
    dry_run: bool,
    profile: str | None,
    ask_again: str | None,
    offline: bool,
    budget: tuple[str, ...],
    detach: bool,
    head_on_cluster: bool,
    options: tuple[str, ...],
) -> int:
    """Finish a run, from any directory, with its saved configuration.

    \b
    snakeval resume 8b1a -n
    snakeval resume 8b1a --ask-again unhealthy
    snakeval resume 8b1a --budget tokens=4000000
    snakeval resume 8b1a
    snakeval resume results/2026-11-24-14-37-58-227b133b --detach
    """
    where = place_of(dry_run, detach, head_on_cluster)
    entry = find(wanted)
    saved = saved_configuration(entry.run)
    from snakeval.cli.launch import launch
    from snakeval.cli.launch.again import prepare_again
    from snakeval.config.compose import save
    from snakeval.config.load import load

    def configure(
        values: Mapping[str, Any], place: Path, plans: bool
    ) -> tuple[Config, Selection, Path]:
        config, selection, _ = load([saved], values)
        if "output_dir" in values or Path(config.output_dir).expanduser().resolve() == place:
            return config, selection, saved
        # In a file, since --config would read some paths as YAML.
        config = config.model_copy(update={"output_dir": str(place)})
        return config, selection, save(config, [saved])

    prepared = prepare_again(
        entry,
        configure,
        profile=profile,
        switches=_chosen(entry, ask_again, offline, budget),
        options=options,
        dry_run=dry_run,
    )
    return launch(prepared, where)


def _chosen(entry: Entry, ask_again: str | None, offline: bool, budget: Sequence[str]) -> list[str]:
    """Return the values of ``--config`` that the command's own options are."""
    origin = ""
    with contextlib.suppress(OSError, *DAMAGE):  # the plan says what is wrong with the note
        origin = str((entry.run.read_rescore() or {}).get("origin", ""))
    return [
        f"run={entry.path.name}",
        *([f"rescore={origin}"] if origin else []),
        *([f"ask_again={ask_again}"] if ask_again else []),
        *(["offline=true"] if offline else []),
        *budget_pair(budget),
    ]


def saved_configuration(run: RunDirectory, verb: str = "`resume` cannot continue") -> Path:
    """Return the saved configuration of *run*; an error says what the command cannot do.

    Raises:
        ConfigError: it or the run's identity is gone, or a newer snakeval wrote it.
    """
    saved = run.config
    for path in (saved, run.origin):
        if not path.is_file():
            raise ConfigError(
                f"{run}: {path.relative_to(run.path)} is gone, so {verb} the run; use "
                "`snakeval run` with its configuration"
            )
    try:
        origin = run.read_origin()
        written = run.resolved_by() or old_runs.resolved_by(run) or str(origin.get("snakeval", ""))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{run}: cannot be read ({error}); check it") from None
    if _version(written) > _version(__version__):
        raise ConfigError(
            f"{saved}: snakeval {written} saved it, and this is snakeval {__version__}; "
            "pip install --upgrade snakeval"
        )
    return saved


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
