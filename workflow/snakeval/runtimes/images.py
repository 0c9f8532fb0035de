"""Converts images into files, once for all jobs and runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import re
import shlex
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from snakeval.errors import EvaluationError, Interrupted
from snakeval.files import (
    DAMAGE,
    home,
    json_value,
    make_directory,
    read_bytes,
    write_atomically,
)
from snakeval.lease import Lease
from snakeval.runtimes import Report, blocking
from snakeval.runtimes.spec import ContainerSpec


def cached(runtime: str, image: str, ending: str) -> Path:
    """Return the file of the converted *image*, which may not exist yet.

    The image's name and the machine's architecture identify the file. If a registry moves a tag
    later, remove the file to convert the image again.
    """
    name = re.sub(r"[^\w.-]+", "-", image.rpartition("/")[2])[:60]
    digest = hashlib.sha256(image.encode()).hexdigest()[:16]
    file = f"{name}-{digest}-{platform.machine()}{ending}"
    return home().resolve() / "cache" / runtime / file


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

    def has(self, image: str) -> bool:
        """Return whether the runtime can start *image* now: a file of the user, or a whole one."""
        file = self.of(image)
        return file.exists() if self.is_path(image) else not problem(file)

    def check(self, image: str) -> None:
        """Check that a missing *image* can be converted.

        Raises:
            EvaluationError: it is a path, which nothing can convert.
        """
        if self.is_path(image):
            raise EvaluationError(f"there is no image {image}; check `image`")


def convert(
    spec: ContainerSpec,
    target: Path,
    command: Callable[[Path], Sequence[str]],
    report: Report,
) -> None:
    """Convert the image of *spec* to *target*; a second process that requests it waits.

    *command* writes a temporary file, which becomes *target* when it is complete. A file beside it
    has its size and its SHA-256. A *target* that does not fit them is converted again.

    Raises:
        EvaluationError: the command fails; the message has its last line.
        Interrupted: the owner of this thread's commands was stopped.
    """
    make_directory(target.parent)
    while wrong := problem(target):
        lost = Event()
        with Lease(
            target.with_name(f"{target.name}.lease"),
            done=lambda: blocking.is_stopped() or not problem(target),
            lost=lost.set,
            waiting=lambda owner: report(f"waiting for {owner} to convert {spec.image}"),
        ) as lease:
            blocking.refuse_stopped()
            if not lease.acquired or not problem(target):
                continue
            again = f" again ({wrong})" if target.exists() else ""
            report(f"converting {spec.image} to {target}{again}")
            for half in target.parent.glob(f".half-*-{target.name}"):
                half.unlink()
            draft = target.with_name(f".half-{uuid.uuid4().hex[:8]}-{target.name}")
            try:
                obtain(spec, command(draft), report, "converted", unless=lost.is_set)
                stamp = json.dumps(_stamp(draft))
                if not lost.is_set():
                    draft.replace(target)
                    write_atomically(_stamp_file(target), stamp)
            except Interrupted:
                if not lost.is_set() or blocking.is_stopped():
                    raise  # else another process took this conversion for dead, and does it
            finally:
                draft.unlink(missing_ok=True)


def problem(file: Path) -> str:
    """Return why a converted *file* cannot be used, or nothing if it is unchanged.

    The content is read only if the file's time changed, for example in a copy.
    """
    try:
        found = file.stat()
        stamp = json_value(read_bytes(_stamp_file(file)) or b"")
        size, time, sha256 = (stamp[key] for key in ("size", "mtime_ns", "sha256"))
    except FileNotFoundError:
        return "there is none"
    except (OSError, *DAMAGE) as error:
        return f"{_stamp_file(file).name}: {error}"
    if found.st_size != size:
        return f"it has {found.st_size} bytes of {size}"
    if found.st_mtime_ns != time:
        now = _stamp(file)
        if now["sha256"] != sha256:
            return "its content changed"
        with contextlib.suppress(OSError):  # a cache that others own
            write_atomically(_stamp_file(file), json.dumps(now))
    return ""


def _stamp(file: Path) -> dict[str, Any]:
    found = file.stat()
    with file.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    return {"size": found.st_size, "mtime_ns": found.st_mtime_ns, "sha256": sha256}


def _stamp_file(file: Path) -> Path:
    return file.with_name(f"{file.name}.json")


def by_hand(target: Path, command: Callable[[Path], Sequence[str]]) -> str:
    """Return shell text for the same conversion, for a single person without a lease."""
    draft = target.with_name(f"{target.name}.new")
    make = shlex.join(command(draft))
    place, new, whole = (shlex.quote(str(path)) for path in (target.parent, draft, target))
    return (
        f"{{ [ -e {whole} ] || {{ mkdir -p {place} && {make} </dev/null && mv {new} {whole}; }}; }}"
    )


def obtain(
    spec: ContainerSpec,
    words: Sequence[str],
    report: Report,
    how: str,
    *,
    unless: Callable[[], bool] = lambda: False,
    has_daemons: bool = False,
) -> None:
    """Run the command *words*, which pulls or converts an image, and report each of its lines.

    Raises:
        EvaluationError: the command fails. The message says that the image cannot be *how*.
        Interrupted: the owner of this thread's commands was stopped, or *unless* is true.
    """
    image = spec.image
    ended = blocking.run(
        words,
        lambda line: report(f"{image}: {line}"),
        mark=spec.name,
        unless=unless,
        has_daemons=has_daemons,
    )
    if ended.code != 0:
        raise EvaluationError(
            f"image {image} is not on this machine and cannot be {how} "
            f"({ended.last_line[:300]}); check `image`"
        )
