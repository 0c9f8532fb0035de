"""Reads the files of harnesses, of which a damaged one may be larger than the memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from snakeval.errors import EvaluationError
from snakeval.files import read_text, without_waiting

#: The most bytes of a file that is read at once, such as the scores of all tasks.
MAX_FILE = 512 * 10**6
#: The most characters of a line, which holds one sample.
MAX_LINE = 64 * 10**6


def whole(path: Path, most: int = MAX_FILE) -> str:
    """Return the text of a file, without the mark with which programs for Windows begin one.

    Raises:
        EvaluationError: it has more than *most* bytes.
        OSError: the file cannot be read.
        ValueError: it is not UTF-8.
    """
    if (size := path.stat().st_size) > most:
        from rich.filesize import decimal

        raise EvaluationError(
            f"{path.name} has {decimal(size)}, and snakeval reads results of at most "
            f"{decimal(most)}"
        )
    return read_text(path).removeprefix("\ufeff")


def lines(path: Path, *, newline: str | None = None, most: int = MAX_LINE) -> Iterator[str]:
    """Yield the lines of a file, of which *newline* means the same as for :func:`open`.

    Raises:
        EvaluationError: a line has more than *most* characters.
        OSError: the file cannot be read.
        ValueError: it is not UTF-8.
    """
    # Programs for Windows begin files with a mark, which the encoding drops.
    with open(path, encoding="utf-8-sig", newline=newline, opener=without_waiting) as file:
        number = 0
        while line := file.readline(most + 1):
            number += 1
            if len(line) > most:
                raise EvaluationError(
                    f"{path.name}, line {number} has more than {most} characters, the most that "
                    "snakeval reads as one sample"
                )
            yield line
