"""Runs a page of the docs as a reader would: writes its files, types its commands.

A block ``console`` has commands after ``$`` and below each the lines that it prints. A line ``…``
stands for any lines, and ``…`` within a line for any text. A block with ``title="name"`` is a file.
A block of YAML that begins indented is a further model of ``evaluation.yaml``.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from support import forks
from support.limits import HUNG

_BLOCK = re.compile(
    r"^(?P<in> *)```(?P<kind>\w*)(?: title=\"(?P<title>[^\"]+)\")?\n(?P<text>.*?)^(?P=in)```$",
    re.MULTILINE | re.DOTALL,
)
_ID = re.compile(r"\b[0-9a-f]{8}\b")
_EXIT = re.compile(r"\(exit code (\d+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    kind: str
    title: str
    text: str

    @property
    def commands(self) -> list[tuple[str, list[str], int]]:
        """The commands of a console, each with the lines that it prints and its exit code."""
        found: list[tuple[str, list[str], int]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], [], 0))
            elif ended := _EXIT.fullmatch(line):
                command, lines, _ = found.pop()
                found.append((command, lines, int(ended[1])))
            else:
                found[-1][1].append(line)
        return found


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    return [
        Block(match["kind"], match["title"] or "", _dedented(match["text"], match["in"]))
        for match in _BLOCK.finditer(page.read_text(encoding="utf-8"))
    ]


def _dedented(text: str, indent: str) -> str:
    """Return a block without the indent of the list in which it is."""
    return "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))


class Reader:
    """Follows a page in a directory; the ids of its runs replace those of the page."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self.directory = directory
        self.environment = environment
        self.ids: dict[str, str] = {}

    def follow(self, page: Path, replaced: Mapping[str, str]) -> None:
        """Write the files of a page, type its commands, and compare what they print."""
        for block in blocks(page):
            text = block.text
            for old, new in replaced.items():
                text = text.replace(old, new.replace("CWD", str(self.directory)))
            block = Block(block.kind, block.title, text)
            if block.title:
                (self.directory / block.title).write_text(text, encoding="utf-8")
            elif block.kind == "yaml" and text.startswith("  "):
                self._add_model(text)
            elif block.kind == "console":
                for command, lines, exit_code in block.commands:
                    self._type(command, lines, exit_code)

    def _add_model(self, text: str) -> None:
        file = self.directory / "evaluation.yaml"
        file.write_text(file.read_text().replace("\nbenchmarks:\n", f"\n{text}benchmarks:\n"))

    def _type(self, command: str, lines: list[str], exit_code: int) -> None:
        for told, real in self.ids.items():
            command = re.sub(rf"\b{told[:4]}(?:{told[4:]})?\b", real, command)
        if command.startswith("cd "):
            self.directory /= command[3:]
            return
        code, printed = self._run(command)
        assert code == exit_code, f"{command}\n{printed}"
        missing = self._missing(lines, printed.splitlines())
        assert missing is None, f"{command} did not print {missing!r}:\n{printed}"

    def _run(self, command: str) -> tuple[int, str]:
        first, ampersand, rest = command.partition(" & ")
        beside = self._shell(first) if ampersand else None
        words = shlex.split(rest or first)
        try:
            if words[0] != "snakeval" or "&&" in words:
                process = self._shell(rest or first)
                target = None
            else:
                target = words.index(">") if ">" in words else None
                process = forks.Process(
                    [sys.executable, "-m", "snakeval", *words[1:target]],
                    cwd=self.directory,
                    env=dict(self.environment),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE if target else subprocess.STDOUT,
                    text=True,
                )
            out, error = process.communicate(timeout=HUNG)
        finally:
            if beside:
                beside.communicate(timeout=HUNG)
        if target is not None:
            (self.directory / words[target + 1]).write_text(out, encoding="utf-8")
            out = error
        return process.returncode, out

    def _shell(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", "-c", command],
            cwd=self.directory,
            env=dict(self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def _missing(self, lines: list[str], printed: list[str]) -> str | None:
        """Return the first line of a page that a command did not print in its place, or None."""
        rest: Iterator[str] = iter(printed)
        for number, line in enumerate(lines):
            if line.strip() == "…":
                continue
            pattern = self._pattern(line)
            is_loose = number > 0 and lines[number - 1].strip() == "…"
            for found in rest:
                if match := pattern.fullmatch(found):
                    self.ids |= zip(_ID.findall(line), match.groups(), strict=True)
                    break
                if not is_loose:
                    return line
            else:
                return line
        return None

    def _pattern(self, line: str) -> re.Pattern[str]:
        words = re.escape(line.rstrip()).replace("…", ".*")
        return re.compile(_ID.sub("([0-9a-f]{8})", words) + r"\s*")
