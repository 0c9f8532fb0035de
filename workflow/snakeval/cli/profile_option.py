"""``--profile``: the profile that a command runs Snakemake with."""

from __future__ import annotations

import click


def profile_names(context: click.Context, parameter: click.Parameter, typed: str) -> list[str]:
    """Complete the names of profiles in a shell."""
    from snakeval.cli.launch.installation import profile_names

    return [name for name in profile_names() if name.startswith(typed)]


profile_option = click.option(
    "--profile",
    shell_complete=profile_names,
    help="Run with this profile: local, slurm, lepton, or a path.  [default: local]",
)
