"""``snakeval cache``: what snakeval has built and downloaded on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

from snakeval.cli.output import age, emit, json_option, note, show, zoned
from snakeval.errors import ConfigError


@click.group("cache")
def command() -> None:
    """List or remove environments of harnesses, images and data that snakeval keeps.

    \b
    snakeval cache ls
    snakeval cache clean -n
    snakeval cache clean --all
    """


@command.command("ls")
@json_option
def listed(as_json: bool) -> None:
    """List what is in the cache, its size, and whether it is in use.

    An environment is in use if a process of this machine runs from it, or the next harness will.
    """
    rows = _rows()
    if not as_json:
        now = datetime.now().astimezone()
        for row in rows:
            moment = datetime.fromisoformat(str(row["modified"]))
            row |= {"modified": age(moment, now), "size": _size(int(str(row["bytes"])))}
    columns = ("kind", "name", "size", "modified", "in use")
    show(rows, columns, as_json=as_json, empty="The cache is empty.")


@command.command("clean")
@click.option("--all", "everything", is_flag=True, help="Also remove what the next run would use.")
@click.option("-n", "--dry-run", is_flag=True, help="List what would be removed; remove nothing.")
@json_option
def clean(everything: bool, dry_run: bool, as_json: bool) -> None:
    """Remove environments that nothing uses: broken, replaced and half-built ones.

    With --all, also remove current environments, images and downloaded data; the next run builds
    or downloads them again. --all fails while a run of this machine may be active.
    """
    if everything:
        _refuse_active_runs()
    removed: list[str] = []
    freed = 0
    try:
        for path, count in _removed(everything, dry_run):
            removed.append(str(path))
            freed += count
    except OSError as error:
        place = str(error.filename)
        raise ConfigError(f"cannot be removed ({error.strerror})", where=place) from None
    if as_json:
        emit({"removed": removed, "bytes": freed, "dry_run": dry_run})
        return
    for each in removed:
        click.echo(each)
    verb = "would be freed" if dry_run else "freed"
    note(f"{_size(freed)} {verb}")


def _removed(everything: bool, dry_run: bool) -> Iterator[tuple[Path, int]]:
    """Remove what may be removed, unless it is a *dry_run*; yield each path and its size."""
    from snakeval.runtimes import builds

    for build in list(builds.builds()):
        if build.is_used or (build.is_current and not everything):
            continue
        count = builds.size(build.path)
        if dry_run or builds.remove(build, also_current=everything):
            yield build.path, count
        else:
            note(f"{build.path}: left, a process builds this environment or runs from it")
    for path in _downloads() if everything else ():
        count = builds.size(path)
        if not dry_run:
            shutil.rmtree(path)
        yield path, count


def _rows() -> list[dict[str, object]]:
    from snakeval.runtimes import builds

    rows: list[dict[str, object]] = [
        {
            "kind": "environment",
            "name": build.environment,
            "path": str(build.path),
            "bytes": builds.size(build.path),
            "modified": zoned(build.modified),
            "in use": build.is_used or build.is_current,
        }
        for build in builds.builds()
    ]
    for path in _downloads():
        modified = datetime.fromtimestamp(path.stat().st_mtime)
        rows.append(
            {
                "kind": "download",
                "name": path.name,
                "path": str(path),
                "bytes": builds.size(path),
                "modified": zoned(modified),
                "in use": None,
            }
        )
    return rows


def _downloads() -> list[Path]:
    """Return the directories of images, data sets and weights that snakeval keeps."""
    from snakeval.files import home

    place = home().absolute() / "cache"
    found = sorted(place.iterdir()) if place.is_dir() else []
    return [path for path in found if path.is_dir() and not path.is_symlink()]


def _refuse_active_runs() -> None:
    from snakeval.run import heads, index

    for entry in index.entries():
        if heads.heads(entry.run):
            raise ConfigError(
                f"run {entry.id} may be active and use the cache",
                hint=f"wait for it, or stop it with `snakeval kill {entry.id}`",
            )


def _size(count: int) -> str:
    from rich.filesize import decimal

    return decimal(count)
