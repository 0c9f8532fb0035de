"""Locates snakeval's home, and the scope in which runs share model servers."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from snakeval.errors import ConfigError, EvaluationError


def home() -> Path:
    """Return the directory of saved configurations, environments and caches.

    The directory is ``$SNAKEVAL_HOME``, by default ``~/.snakeval``.
    """
    return Path(os.environ.get("SNAKEVAL_HOME") or "~/.snakeval").expanduser()


def unwritable(path: str | Path, error: OSError, name: str = "") -> str:
    """Return one sentence about a path that cannot be written, with what to do.

    *name* is the setting that chooses the path, unless the path is in snakeval's home.
    """
    if Path(path).absolute().is_relative_to(home().absolute()):
        name = "SNAKEVAL_HOME"
    is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    to_do = "free some space" if is_full else "correct its permissions"
    where = f"{name}: {str(path)[:200]}" if name else str(path)[:200]
    return f"{where} cannot be written ({error.strerror}); set another directory or {to_do}"


@contextmanager
def in_one_sentence(place: Path) -> Iterator[None]:
    """End this process with one sentence, and no traceback, if a file cannot be written.

    *place* is where, if the error does not say. Errors for people end it in the same way.

    Raises:
        SystemExit: the message is the sentence.
    """
    try:
        yield
    except (ConfigError, EvaluationError) as error:
        raise SystemExit(f"snakeval: {error}") from None
    except OSError as error:
        sentence = unwritable(error.filename or place, error, "output_dir")
        raise SystemExit(f"snakeval: {sentence}") from None


def domain() -> str:
    """Return the name of the scope in which runs share model servers: user, home and Slurm job.

    A Slurm job is a scope of its own, since its servers end with it and no other job has its GPUs.
    """
    return f"{os.getuid()} {home().resolve()} {os.environ.get('SLURM_JOB_ID', '')}"
