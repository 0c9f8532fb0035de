"""Packs a job's files reproducibly, unpacks them with checks, and publishes each one as a whole.

Members are absolute paths of the container without the leading slash.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from snakemake_executor_plugin_lepton.errors import TransportError
from snakemake_executor_plugin_lepton.options import Transfer
from snakemake_executor_plugin_lepton.receipt import Receipt


def pack(transfers: Iterable[Transfer], target: Path) -> str:
    """Pack the existing files of *transfers* into *target* and return its SHA-256.

    The same content results in the same archive, on every machine and at any time.
    """
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", fileobj=raw, mtime=0, compresslevel=6) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as archive,
    ):
        for transfer in sorted(transfers, key=lambda t: t.remote):
            if transfer.local.exists():
                _add(archive, transfer.local, str(transfer.remote).lstrip("/"))
    return sha256(target)


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    # A linked input is packed as its target, which the job does not have.
    if path.is_dir():
        archive.addfile(_anonymous(archive.gettarinfo(path.resolve(), name)))
        for child in sorted(path.iterdir()):
            if child.exists():  # not a dangling link
                _add(archive, child, f"{name}/{child.name}")
        return
    with path.open("rb") as content:
        archive.addfile(_anonymous(archive.gettarinfo(path.resolve(), name)), content)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mtime = 0
    if member.islnk():  # two names of one file become two files
        member.type = tarfile.REGTYPE
    return member


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file in hex digits."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def verify(archive: Path, receipt: Receipt) -> None:
    """Check that the received archive is the one that the job sent.

    Raises:
        TransportError: it is another one.
    """
    size = archive.stat().st_size
    if size != receipt.size or sha256(archive) != receipt.sha256:
        raise TransportError(
            f"the files that came back are not those that the job sent ({size} bytes of "
            f"{receipt.size})"
        )


def publish(archive: Path, transfers: Iterable[Transfer], private: Path) -> list[str]:
    """Move the members of *transfers* to their places, each one as a whole.

    Returns:
        The members that were left out, because they point out of their place.
    """
    private.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix="unpack-", dir=private))
    left_out: list[str] = []
    try:
        with tarfile.open(archive, "r:gz") as packed:
            packed.extractall(stage, filter=lambda m, to: _harmless(m, to, left_out))
        for transfer in transfers:
            made = stage / str(transfer.remote).lstrip("/")
            if made.exists() or made.is_symlink():
                _put(made, transfer.local)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise TransportError(f"the files that came back cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return left_out


def _harmless(member: tarfile.TarInfo, target: str, left_out: list[str]) -> tarfile.TarInfo | None:
    try:
        safe = tarfile.data_filter(member, target)
    except tarfile.FilterError:
        left_out.append(member.name)
        return None
    # The file gets the present time of this clock, because Snakemake compares it with local files.
    return safe.replace(mtime=None, deep=False)  # type: ignore[arg-type]


def _put(made: Path, place: Path) -> None:
    """Move *made* to *place*, which never holds a half-written file."""
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{place.name[:50]}-", dir=place.parent))
    try:
        fresh = beside / "new"
        shutil.move(made, fresh)  # a copy, if it is on another file system
        if place.is_dir() and not place.is_symlink():
            place.rename(beside / "old")
        elif fresh.is_dir() and (place.exists() or place.is_symlink()):
            place.unlink()
        os.replace(fresh, place)  # noqa: PTH105 (replaces a link itself)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
