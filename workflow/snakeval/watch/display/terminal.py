"""Lines that stay at the bottom of a terminal, while all that is printed goes by above them.

Jobs print, too, and so does Snakemake: each to the terminal that they inherited. So standard error
(and standard output, where it is the same terminal) becomes a pipe for as long as the lines are
shown, and what comes out of it is written above them, untouched.
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

#: Returns the lines for a terminal of that many columns and rows, none longer than a row.
Draw = Callable[[int, int], list[str]]


def usable() -> bool:
    """Whether standard error is a terminal on which a line can be drawn again."""
    try:
        return sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb", "unknown")
    except ValueError:  # it is closed
        return False


#: What draws now.
_drawing: Terminal | None = None


def columns() -> int | None:
    """How wide the terminal is that shows standard output; None where none does."""
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
        # Snakemake may end without a word to us, as when the run cannot start.
        atexit.register(self.close)
        global _drawing
        _drawing = self

    @property
    def shows_output(self) -> bool:
        """Whether standard output goes here, too."""
        return 1 in self._saved and not self._ended.is_set()

    def close(self) -> None:
        """Take the lines away and give the streams back."""
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
        """Print a line above the others. For the callbacks, which must not write to the pipe."""
        self._above(f"{line}\n".encode(errors="replace"))

    # --- the thread -------------------------------------------------------------------------

    def _work(self) -> None:
        poll = select.poll()
        poll.register(self._reading, select.POLLIN)
        due = time.monotonic()
        while not self._ended.is_set():
            # Without a writer left a poll returns at once.
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
            lines = []  # the work goes on, and is told by what is printed
        if lines != self._shown or size.columns != self._width:
            erase = self._erase()
            self._shown, self._width = lines, size.columns
            self._write(erase + _joined(lines))

    def _erase(self) -> bytes:
        """Go to the first of the lines and clear what is below; a narrower terminal broke them."""
        if not self._shown:
            return b""
        columns = self.size().columns
        lengths = (cell_len(_ESCAPES.sub("", line)) for line in self._shown)
        rows = sum(max(1, -(-length // columns)) for length in lengths)
        up = f"\x1b[{rows - 1}A" if rows > 1 else ""
        return f"\r{up}\x1b[J".encode()

    def size(self) -> os.terminal_size:
        """The terminal's size, or a usual one where it does not tell."""
        try:
            size = os.get_terminal_size(self._saved[2])
        except OSError:
            return _USUAL_SIZE
        return size if size.columns > 1 and size.lines > 0 else _USUAL_SIZE

    def _write(self, data: bytes) -> None:
        """Write all of it, or find that the terminal is gone; the pipe is emptied all the same."""
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
