"""``snakeval profiles``: links snakeval's profiles to where Snakemake finds them by name."""

from __future__ import annotations

from pathlib import Path

import click

import snakeval
from snakeval.cli.launch.installation import SHIPPED
from snakeval.cli.output import emit, json_switch, wants_json


@click.group("profiles")
def command() -> None:
    """Link the profiles, so that `snakemake --profile local` finds them from any directory.

    `snakeval run --profile local` needs no link, and `snakeval ls profiles` lists them all.
    """


@command.command("install")
@click.option("--force", is_flag=True, help="Also replace links that lead elsewhere.")
@json_switch
def install(force: bool) -> int:
    """Link snakeval's profiles into Snakemake's configuration directory (~/.config/snakemake).

    This command replaces links to another installation of snakeval, and never a profile of your
    own. If you have a profile `slurm`, the link is
    called `snakeval-slurm`. The exit code is 1 if a profile was not linked.
    """
    from snakeval.cli.launch.installation import user_profiles

    own = user_profiles()[0]
    rows: list[dict[str, object]] = []
    for source in of_snakeval():
        name = source.name
        if _is_theirs(own / name):
            _say(f"{own / name}  left unchanged: it is your own")
            name = f"snakeval-{name}"
        blocked, said = _link(own / name, source, force)
        rows.append({"profile": name, "path": str(own / name), "linked": not blocked, "what": said})
        _say(f"{own / name}  {said}")
    if wants_json():
        emit(rows)
    return 0 if all(row["linked"] for row in rows) else 1


def _say(line: str) -> None:
    if not wants_json():
        click.echo(line)


def _is_theirs(path: Path) -> bool:
    """Whether something other than a link has this name."""
    return path.exists() and not path.is_symlink()


def of_snakeval() -> list[Path]:
    """Return snakeval's profiles, except `default`: Snakemake reads it with every other one."""
    from snakeval.cli.launch.installation import is_profile, profiles

    return [p for p in sorted(profiles().iterdir()) if is_profile(p) and p.name != "default"]


def is_shipped(leads: Path) -> bool:
    """Whether a link leads to a profile in an installed package of snakeval, here or elsewhere.

    Only this command writes such a link. The environment of the package may be gone.
    """
    return leads.parts[-4:-1] == (snakeval.__name__, SHIPPED, "profiles")


def _link(path: Path, source: Path, force: bool) -> tuple[bool, str]:
    """Make *path* a link to *source*; return whether something blocks it, and the result."""
    if path.is_symlink():
        if path.resolve() == source.resolve():
            return False, "is there already"
        leads = path.readlink()
        if not force and not is_shipped(leads):
            return True, f"left unchanged: it leads to {leads}; --force replaces it"
        path.unlink()
    elif path.exists():
        return True, "left unchanged: it is your own; rename it"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(source, target_is_directory=True)
    return False, f"linked to {source}"
