"""Keeps lines at the bottom of a terminal, while other output scrolls above them.

Jobs and Snakemake print to the terminal that they inherited. While the lines are visible, standard
error is therefore a pipe. Standard output is also a pipe, if it is the same terminal. This module
writes the output of the pipes above the lines, unchanged.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import select
import sys
import threading
import time
from collections.abc import Callable

from rich.cells import cell_len

_REDRAW_SECONDS = 0.5
_POLL_MILLISECONDS = 100
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_USUAL_SIZE = os.terminal_size((80, 24))

#: Returns the lines for a terminal with a number of columns and rows; no line exceeds a row.
Draw = Callable[[int, int], list[str]]


def usable() -> bool:
    """Whether standard error is a terminal that can redraw a line."""
    try:
        return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")
    except ValueError:  # it is closed
        return False


#: The terminal that draws now.
_drawing: Terminal | None = None


def columns() -> int | None:
    """Return the width of the terminal that shows standard output; None without a terminal."""
    if _drawing is not None and _drawing.shows_output:
        return _drawing.size().columns
    return os.get_terminal_size(1).columns if os.isatty(1) else None


class Terminal:
    """Draws until :meth:`close`."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        _flush()
        self._streams = [2, 1] if _same_terminal(1, 2) else [2]
        self._saved = {stream: os.dup(stream) for stream in self._streams}
        self._reading, writing = os.pipe()
        os.set_blocking(self._reading, False)
        for stream in self._streams:
            os.dup2(writing, stream)
        os.close(writing)
        self._shown: list[str] = []
        self._width = 0
        self._rest = b""
        self._gone = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="snakeval-terminal", daemon=True)
        self._thread.start()
        # Snakemake may exit without closing its loggers, as if the run cannot start.
        atexit.register(self.close)
        global _drawing
        _drawing = self

    @property
    def shows_output(self) -> bool:
        """Whether standard output also goes to this terminal."""
        return 1 in self._saved and not self._ended.is_set()

    def close(self) -> None:
        """Remove the lines and restore the streams."""
        if self._ended.is_set():
            return
        _flush()
        for stream, saved in self._saved.items():
            with contextlib.suppress(OSError):
                os.dup2(saved, stream)
        self._ended.set()
        self._thread.join(timeout=5)
        atexit.unregister(self.close)

    def say(self, line: str) -> None:
        """Print a line above the others. Callbacks use it, because the pipe would block them."""
        self._above(f"{line}\n".encode(errors="replace"))

    # --- the thread -------------------------------------------------------------------------

    def _work(self) -> None:
        poll = select.poll()
        poll.register(self._reading, select.POLLIN)
        due = time.monotonic()
        while not self._ended.is_set():
            # Without a writer, a poll returns at once.
            if any(event & select.POLLIN for _, event in poll.poll(_POLL_MILLISECONDS)):
                self._pass_on(self._read())
            if time.monotonic() >= due:
                self._refresh()
                due = time.monotonic() + _REDRAW_SECONDS
        while data := self._read():
            self._pass_on(data)
        rest, self._rest = self._rest, b""
        self._write(self._erase() + rest)

    def _read(self) -> bytes:
        try:
            return os.read(self._reading, 65536)
        except BlockingIOError:
            return b""

    def _pass_on(self, data: bytes) -> None:
        lines, newline, self._rest = (self._rest + data).rpartition(b"\n")
        if newline:
            self._above(lines + newline)

    def _above(self, text: bytes) -> None:
        erase, shown = self._erase(), self._shown
        self._write(erase + text + _joined(shown))

    def _refresh(self) -> None:
        if self._gone:
            return
        size = self.size()
        try:
            lines = self._draw(size.columns, size.lines)
        except Exception:
            lines = []  # the run continues, and its output still scrolls by
        if lines != self._shown or size.columns != self._width:
            erase = self._erase()
            self._shown, self._width = lines, size.columns
            self._write(erase + _joined(lines))

    def _erase(self) -> bytes:
        """Go to the first line and clear below; a narrower terminal may have wrapped the lines."""
        if not self._shown:
            return b""
        columns = self.size().columns
        lengths = (cell_len(_ESCAPES.sub("", line)) for line in self._shown)
        rows = sum(max(1, -(-length // columns)) for length in lengths)
        up = f"\x1b[{rows - 1}A" if rows > 1 else ""
        return f"\r{up}\x1b[J".encode()

    def size(self) -> os.terminal_size:
        """Return the terminal's size, or a usual size if the terminal has none."""
        try:
            size = os.get_terminal_size(self._saved[2])
        except OSError:
            return _USUAL_SIZE
        return size if size.columns > 1 and size.lines > 0 else _USUAL_SIZE

    def _write(self, data: bytes) -> None:
        """Write all the data, or note that the terminal is gone. The pipe is read in any case."""
        while data and not self._gone:
            try:
                data = data[os.write(self._saved[2], data) :]
            except BlockingIOError:
                time.sleep(0.01)
            except OSError:
                self._gone = True


def _joined(lines: list[str]) -> bytes:
    return "\n".join(lines).encode(sys.stderr.encoding or "utf-8", errors="replace")


def _same_terminal(one: int, other: int) -> bool:
    try:
        return os.isatty(one) and os.fstat(one).st_rdev == os.fstat(other).st_rdev
    except OSError:
        return False


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
