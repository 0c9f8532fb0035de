"""Images that are converted into a file before they start: once, for every job and every run."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from snakeval.errors import EvaluationError
from snakeval.files import home
from snakeval.lease import Lease
from snakeval.runtimes import Report


def cached(runtime: str, image: str, ending: str) -> Path:
    """Where *image* stands once it is converted, made or not.

    It is known by its name: what a registry moves a tag to later is not noticed, so remove the
    file to have it again.
    """
    name = re.sub(r"[^\w.-]+", "-", image.rpartition("/")[2])[:60]
    digest = hashlib.sha256(image.encode()).hexdigest()[:16]
    return home().resolve() / "cache" / runtime / f"{name}-{digest}{ending}"


def digest(image: str) -> str:
    """The digest of the image where its name has one; a converted file has none of its own."""
    return image.rpartition("@")[2] if "@sha256:" in image else ""


def convert(
    image: str, target: Path, command: Callable[[Path], Sequence[str]], report: Report
) -> None:
    """Make *target*; whoever else wants it at the same time waits, and finds it made.

    *command* writes it to a file beside, which is renamed when it is whole.

    Raises:
        EvaluationError: the command fails; it has its last line.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with Lease(
        target.with_name(f"{target.name}.lease"),
        done=target.exists,
        waiting=lambda owner: report(f"waiting for {image} to be converted by {owner}"),
    ) as lease:
        if not lease.acquired or target.exists():
            return
        report(f"converting {image} to {target}")
        for half in target.parent.glob(f".half-*-{target.name}"):
            half.unlink()
        draft = target.with_name(f".half-{os.getpid()}-{target.name}")
        try:
            _run(image, command(draft), report)
            draft.replace(target)
        finally:
            draft.unlink(missing_ok=True)


def by_hand(target: Path, command: Callable[[Path], Sequence[str]]) -> str:
    """Return shell text to the same effect, for a person who is alone at it."""
    draft = target.with_name(f"{target.name}.new")
    make = shlex.join(command(draft))
    place, new, whole = (shlex.quote(str(path)) for path in (target.parent, draft, target))
    return (
        f"{{ [ -e {whole} ] || {{ mkdir -p {place} && {make} </dev/null && mv {new} {whole}; }}; }}"
    )


def _run(image: str, words: Sequence[str], report: Report) -> None:
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
            f"image {image} is neither here nor can it be had ({last[:300]}); check `image`"
        )
