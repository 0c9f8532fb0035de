"""Converts images into files, once for all jobs and runs."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from snakeval.errors import EvaluationError
from snakeval.files import home
from snakeval.lease import Lease
from snakeval.runtimes import Report


def cached(runtime: str, image: str, ending: str) -> Path:
    """Return the file of the converted *image*, which may not exist yet.

    The image's name identifies the file. If a registry moves a tag later, remove the file to
    convert the image again.
    """
    name = re.sub(r"[^\w.-]+", "-", image.rpartition("/")[2])[:60]
    digest = hashlib.sha256(image.encode()).hexdigest()[:16]
    return home().resolve() / "cache" / runtime / f"{name}-{digest}{ending}"


def digest(image: str) -> str:
    """Return the digest in the image's name, or nothing; a converted file has no digest."""
    return image.rpartition("@")[2] if "@sha256:" in image else ""


@dataclass(frozen=True, slots=True)
class Files:
    """The files that a runtime starts for images, and keeps in a cache of that name.

    The first of *endings* is that of converted images. A file of a user may have any of them.
    """

    cache: str
    endings: tuple[str, ...]

    def is_path(self, image: str) -> bool:
        """Return whether *image* is a file or directory of this machine, and not a reference."""
        return image.startswith(("/", "./", "~")) or image.endswith(self.endings)

    def of(self, image: str) -> Path:
        """Return the file that the runtime starts for *image*."""
        if self.is_path(image):
            return Path(image).expanduser()
        return cached(self.cache, image, self.endings[0])

    def check(self, image: str) -> None:
        """Check that a missing *image* can be converted.

        Raises:
            EvaluationError: it is a path, which nothing can convert.
        """
        if self.is_path(image):
            raise EvaluationError(f"there is no image {image}; check `image`")


def convert(
    image: str, target: Path, command: Callable[[Path], Sequence[str]], report: Report
) -> None:
    """Convert *image* to *target*; a second process that requests it waits for the first.

    *command* writes a temporary file, which becomes *target* when it is complete.

    Raises:
        EvaluationError: the command fails; the message has its last line.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with Lease(
        target.with_name(f"{target.name}.lease"),
        done=target.exists,
        waiting=lambda owner: report(f"waiting for {owner} to convert {image}"),
    ) as lease:
        if not lease.acquired or target.exists():
            return
        report(f"converting {image} to {target}")
        for half in target.parent.glob(f".half-*-{target.name}"):
            half.unlink()
        draft = target.with_name(f".half-{os.getpid()}-{target.name}")
        try:
            obtain(image, command(draft), report, "converted")
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)


def by_hand(target: Path, command: Callable[[Path], Sequence[str]]) -> str:
    """Return shell text for the same conversion, for a single person without a lease."""
    draft = target.with_name(f"{target.name}.new")
    make = shlex.join(command(draft))
    place, new, whole = (shlex.quote(str(path)) for path in (target.parent, draft, target))
    return (
        f"{{ [ -e {whole} ] || {{ mkdir -p {place} && {make} </dev/null && mv {new} {whole}; }}; }}"
    )


def obtain(image: str, words: Sequence[str], report: Report, how: str) -> None:
    """Run the command *words*, which pulls or converts *image*, and report each of its lines.

    Raises:
        EvaluationError: the command fails. The message says that the image cannot be *how*.
    """
    child = subprocess.Popen(
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    last = ""
    for line in child.stdout or ():
        last = line.strip() or last
        report(f"{image}: {last}")
    if child.wait() != 0:
        raise EvaluationError(
            f"image {image} is not on this machine and cannot be {how} ({last[:300]}); check "
            "`image`"
        )
