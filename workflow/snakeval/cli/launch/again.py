"""Prepares a command for a run of before: with its former options, in its working directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from snakeval.cli.launch import Prepared, refuse_own_options
from snakeval.cli.launch import snakemake_options as snakemake
from snakeval.cli.launch.installation import find_profile, is_profile
from snakeval.config.config import Config
from snakeval.config.load import Selection
from snakeval.files import home, make_directory
from snakeval.run.index import Entry

#: Options for one start only. A later command runs all that is missing, and nothing else.
ONCE = frozenset(
    {
        "targets", "config", "configfile", "dryrun", "snakefile", "profile", "directory", "until",
        "omit_from", "force", "forceall", "forcerun", "touch", "batch", "allowed_rules", "unlock",
        "cleanup_metadata", "drop_metadata", "delete_all_output", "delete_temp_output",
        "ignore_incomplete", "replace_workflow_config", "nocolor", "printshellcmds",
    }
)  # fmt: skip
#: Returns the configuration, what it selects, and its file, from the values of ``--config`` and
#: the directory of runs. The last argument says whether Snakemake only plans.
Configure = Callable[[Mapping[str, Any], Path, bool], tuple[Config, Selection, Path]]


def prepare_again(
    entry: Entry,
    configure: Configure,
    *,
    profile: str | None,
    switches: Sequence[str],
    options: Sequence[str],
    dry_run: bool,
) -> Prepared:
    """Return a command with the former options of the run *entry*, and change to its directory.

    *switches* are values of ``--config``, and *options* are Snakemake's.

    Raises:
        ConfigError: an option, the profile or the configuration is wrong.
    """
    refuse_own_options(given := snakemake.split(options))
    started_in, here = working_directory(entry), Path.cwd()
    if profile and is_profile(here / Path(profile).expanduser()):
        profile = str((here / Path(profile).expanduser()).absolute())
    os.chdir(started_in)
    former = snakemake.split(entry.command[1:])
    pairs = [*switches, *snakemake.values(given, "config")]
    values = snakemake.parsed(pairs)
    plans = dry_run or any(option.name == "dryrun" for option in given)
    config, selection, file = configure(values, entry.path.resolve().parent, plans)
    kept = snakemake.without(former, ONCE | {option.name for option in given})
    words = [*kept, *snakemake.without(given, {"config"}), "--config", *pairs]
    return Prepared(
        config,
        selection,
        file,
        values,
        find_profile(profile or (snakemake.values(former, "profile") or ["local"])[-1]),
        [*words, *(["--dry-run"] if dry_run else [])],
        plans,
        _own_snakefile(snakemake.values(former, "snakefile")),
        started_in if started_in != here else None,
    )


def working_directory(entry: Entry) -> Path:
    """Return the working directory of the run's command, or a new one if it is gone."""
    former = Path(entry.cwd)
    if entry.command and former.is_dir() and os.access(former, os.W_OK | os.X_OK):
        return former
    fresh = home().absolute() / "work" / entry.path.name
    make_directory(fresh)
    return fresh


def _own_snakefile(given: Sequence[str]) -> str:
    """Return the user's own Snakefile, which may include snakeval's; empty for snakeval's."""
    return given[-1] if given and Path(given[-1]).is_file() else ""
