"""A command on a terminal of its own, and what a person sees there at any moment."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from support import forks
from support.limits import HUNG

_CODE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


class Screen:
    """Runs a command in a pseudo-terminal. Knows the few codes that the progress is drawn with.

    Lines never scroll away, and are as long as they are printed.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str] | None = None,
        size: tuple[int, int] = (100, 30),
    ) -> None:
        self.rows = [""]
        self.codes: set[str] = set()
        self._row = self._column = 0
        self._pending = ""
        self._master, slave = pty.openpty()
        self.resize(*size)
        env = env or {**os.environ, "TERM": "xterm-256color"}
        self.process = forks.Process(
            command, cwd=cwd, env=env, stdin=slave, stdout=slave, stderr=slave,
            start_new_session=True, terminal=True,
        )  # fmt: skip
        os.close(slave)

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def text(self) -> str:
        return "\n".join(row.rstrip() for row in self.rows)

    def until(self, what: Callable[[str], object], seconds: float = HUNG) -> str:
        """Return what is on the screen as soon as *what* holds of it."""
        until = time.monotonic() + seconds
        while not what(self.text):
            assert time.monotonic() < until, self.text
            assert self._read(0.1), self.text
        return self.text

    def end(self, seconds: float = HUNG) -> int:
        """Wait for the command's end; return its exit code."""
        until = time.monotonic() + seconds
        while self._read(0.1):
            assert time.monotonic() < until, self.text
        return self.process.wait(timeout=seconds)

    def interrupt(self) -> None:
        """Ctrl-C."""
        os.write(self._master, b"\x03")

    def hang_up(self) -> None:
        """Close the terminal's window."""
        os.close(self._master)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # nobody has it open any more
            return False
        self._show(self._pending + data.decode(errors="replace"))
        return bool(data)

    def _show(self, text: str) -> None:
        # A code may be cut in two.
        whole, escape, rest = text.rpartition("\x1b")
        self._pending = escape + rest if escape and not _CODE.match(escape + rest) else ""
        position = 0
        text = whole if self._pending else text
        for code in _CODE.finditer(text):
            self._put(text[position : code.start()])
            self._obey(code[1], code[2])
            position = code.end()
        self._put(text[position:])

    def _put(self, text: str) -> None:
        for part in re.split(r"(\r|\n)", text):
            if part == "\r":
                self._column = 0
            elif part == "\n":
                self._row += 1
                self.rows += [""] * (self._row + 1 - len(self.rows))
            else:
                row = self.rows[self._row].ljust(self._column)
                end = self._column + len(part)
                self.rows[self._row] = row[: self._column] + part + row[end:]
                self._column = end

    def _obey(self, argument: str, code: str) -> None:
        self.codes.add(f"{argument}{code}")
        if code == "A":
            self._row = max(0, self._row - int(argument or 1))
        elif code == "J":
            self.rows = [*self.rows[: self._row], self.rows[self._row][: self._column]]
        elif code not in "mlh":
            raise AssertionError(f"unknown code {argument}{code}")
