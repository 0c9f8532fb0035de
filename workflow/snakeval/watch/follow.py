"""Follows the logs of a run while it works."""

from __future__ import annotations

import codecs
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

from snakeval import executors
from snakeval.errors import ConfigError
from snakeval.files import home
from snakeval.ledger.plain_text import visible
from snakeval.run import heads
from snakeval.run.directory import RunDirectory
from snakeval.run.target import Target
from snakeval.serving.directory import DeploymentDirectory
from snakeval.watch.states import states

#: How often a followed log is looked at, in seconds.
_LOOK_SECONDS = 0.3
#: How long an attempt that did not finish may take to be followed by another, in seconds.
_RETRY_SECONDS = 3.0
#: How long a run's end may take to be printed, in seconds.
_LAST_WORDS_SECONDS = 1.5
_BLOCK = 1 << 16
#: Snakemake's log names a run within its first jobs.
_SNAKEMAKE_HEAD = 1 << 20
#: Colours and bold text, the only sequences of a log that a terminal gets.
_COLOUR = re.compile(r"(\x1b\[[0-9;]*m)")
_decoder = codecs.getincrementaldecoder("utf-8")


class _Log(Protocol):
    """A log that `snakeval logs` can follow."""

    def files(self) -> list[Path]:
        """Return the files that contain it now; another attempt has another file."""

    def absent(self) -> str:
        """Return why there is no log."""

    def notes(self) -> Iterator[str]:
        """Yield messages to print before the log."""

    def ended(self) -> bool:
        """Whether nothing more will come."""

    def end(self) -> str:
        """Return the message to print after the log."""


class _Evaluation:
    """The newest attempt's log."""

    def __init__(self, which: Target) -> None:
        self._which = which
        self._directory = which.run.evaluation(f"{which.model}/{which.benchmark}")
        self._update = executors.follow(which.run, self._directory.name)
        self._look()
        self._seen_active = self._state.active
        self._settled = _Settled(_RETRY_SECONDS)

    def _look(self) -> None:
        (self._state,) = states(self._which.run, only=self._which.covers)

    def files(self) -> list[Path]:
        self._update()
        found = [log for log in [self._directory.newest_log()] if log.exists()]
        # Until its harness prints something: what the scheduler's job printed.
        return found or _of_job(self._which.run, self._directory.name)

    def absent(self) -> str:
        state = self._state
        return f"has no log: it is {state.state}{': ' + state.reason if state.reason else ''}"

    def notes(self) -> Iterator[str]:
        earlier = sorted(
            {*self._directory.attempt_logs()} | {*self._directory.archived_logs()} - {*self.files()}
        )
        for log in self.files():
            others = len(earlier) - (log in earlier)
            more = f" ({others} earlier in {self._directory.path})" if others > 0 else ""
            yield f"{self._which.name}: {log}{more}"
        for executor in executors.of_run(self._which.run):
            of_job = executor.log(self._which.run, self._directory.name)
            if of_job and of_job not in self.files():
                yield f"{self._which.name}: its {executor.title} job's: {of_job}"

    def ended(self) -> bool:
        self._look()
        state = self._state.state
        if state in ("done", "skipped"):
            return True
        self._seen_active |= self._state.active
        awaited = state in ("pending", "unknown") or (
            state == "interrupted" and not self._seen_active and _has_head(self._which)
        )
        # It failed or was interrupted, and Snakemake may try it again at once.
        return self._settled(not (self._state.active or awaited))

    def end(self) -> str:
        from snakeval.watch.view import said

        rest = said(self._state)
        return f"{self._which.name}: {self._state.state}{': ' + rest if rest else ''}"


class _Server:
    """How a model was deployed, and what its server printed."""

    def __init__(self, which: Target) -> None:
        if which.model not in which.run.deployments():
            raise ConfigError(
                f"{which.name}: is an endpoint, of which nothing was started here; its "
                f"evaluations have logs: {which.name}/BENCHMARK"
            )
        self._which = which
        self._settled = _Settled(_LAST_WORDS_SECONDS)
        self._directory = DeploymentDirectory.of(which.run, which.model)
        self._update = executors.follow(which.run, self._directory.name)

    def files(self) -> list[Path]:
        self._update()
        # A server that another run started has its log there.
        record = self._directory.read_record()
        servers = [self._directory.server_log, *map(Path, filter(None, [record.get("log")]))]
        found = [log.resolve() for log in servers if log.exists()]
        jobs = [each.log for each in self._directory.allocations() if each.log.exists()]
        return (jobs + found[:1]) or _of_job(self._which.run, self._directory.name)

    def absent(self) -> str:
        return "has no log: it was not deployed yet"

    def notes(self) -> Iterator[str]:
        earlier = set(self._directory.server_logs()) - set(self.files())
        if earlier:
            yield f"{self._which.name}: {len(earlier)} earlier in {self._directory}"

    def ended(self) -> bool:
        return self._settled(not _has_head(self._which))

    def end(self) -> str:
        return f"{self._which.name}: nothing runs"


class _Run:
    """The output of Snakemake: its own complete log, or the log of a detached head."""

    def __init__(self, which: Target) -> None:
        self._which = which
        self._settled = _Settled(_LAST_WORDS_SECONDS)
        self._asked: dict[Path, tuple[int, bool]] = {}

    def files(self) -> list[Path]:
        own, detached = self._logs()
        # The first own log after a detached start is the same start's.
        if detached and len([log for log in own if _stamp(log) >= _stamp(detached[-1])]) < 2:
            return detached[-1:]
        return own[-1:]

    def _logs(self) -> tuple[list[Path], list[Path]]:
        """Snakemake's own, and those of detached starts; the newest last."""
        entry = self._which.entry
        own = Path(entry.cwd, ".snakemake", "log").glob("*.snakemake.log")
        detached = (home() / "logs").glob(f"{entry.id}-*.log")
        return (
            sorted(filter(self._is_mine, own), key=_stamp),
            sorted(filter(self._is_mine, detached), key=_stamp),
        )

    def _is_mine(self, log: Path) -> bool:
        """Whether it names the run; one that does not may do so when it has grown."""
        size, mine = self._asked.get(log, (-1, False))
        if not mine and min(log.stat().st_size, _SNAKEMAKE_HEAD) != size:
            with log.open("rb") as file:
                head = file.read(_SNAKEMAKE_HEAD)
            mine = self._which.run.name.encode() in head
            self._asked[log] = (len(head), mine)
        return mine

    def absent(self) -> str:
        return (
            f"has no log in {self._which.entry.cwd}/.snakemake/log, where a quiet Snakemake writes "
            f"nothing; its evaluations have: {self._which.name}/MODEL/BENCHMARK"
        )

    def notes(self) -> Iterator[str]:
        shown = self.files()
        others = [log for logs in self._logs() for log in logs if log not in shown]
        for log in shown:
            yield f"{self._which.name}: {log}"
        if others:
            yield f"others: {', '.join(map(str, others[-3:]))}"
        yield f"an evaluation's: snakeval logs {self._which.name}/MODEL/BENCHMARK"

    def ended(self) -> bool:
        return self._settled(not _has_head(self._which))

    def end(self) -> str:
        return f"{self._which.name}: nothing runs"


def _stamp(log: Path) -> str:
    """When the log in a name like 2026-11-25T101647 or id-2026-11-25-10-16-47 was begun."""
    name = log.name.partition("-")[2] if log.name.count("-") == 6 else log.name
    return re.sub(r"\D", "", name)[:14]


class _Settled:
    """Whether something has been so for some seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def __call__(self, is_so: bool) -> bool:
        self._since = (self._since or time.monotonic()) if is_so else None
        return self._since is not None and time.monotonic() - self._since > self._seconds


def _of_job(run: RunDirectory, name: str) -> list[Path]:
    """The log of the executor's newest job of an evaluation or a deployment, if there is one."""
    logs = (executor.log(run, name) for executor in executors.of_run(run))
    return [log for log in logs if log is not None]


def _has_head(which: Target) -> bool:
    return any(head.lives for head in heads.heads(which.run))


class _Printer:
    """Prints what is new in files; at first only *lines* last lines of what is there."""

    def __init__(self, out: IO[bytes], lines: int | None) -> None:
        self._out = out
        self._lines = lines
        self._read: dict[Path, int] = {}
        self._last: Path | None = None
        self._decoders: dict[Path, codecs.IncrementalDecoder] = {}

    def more(self, files: list[Path]) -> None:
        """Print what was written since."""
        for path in files:
            try:
                with path.open("rb") as file:
                    self._print(path, file, titled=len(files) > 1)
            except FileNotFoundError:
                continue  # it was moved away just now
        self._lines = None
        self._out.flush()

    def _print(self, path: Path, file: IO[bytes], titled: bool) -> None:
        if path not in self._read:
            self._read[path] = log_start(file, self._lines)
        elif file.seek(0, os.SEEK_END) < self._read[path]:
            self._read[path] = 0  # the file was replaced or truncated
        file.seek(self._read[path])
        while block := file.read(_BLOCK):
            if self._last not in (None, path) or (titled and self._last is None):
                gap = b"" if self._last is None else b"\n"
                self._out.write(gap + f"==> {path} <==\n".encode())
            self._last = path
            self._out.write(self._shown(path, block))
            self._read[path] += len(block)

    def _shown(self, path: Path, block: bytes) -> bytes:
        """Return a block as a terminal may show it; a file or a pipe gets it unchanged."""
        if not self._out.isatty():
            return block
        decode = self._decoders.setdefault(path, _decoder(errors="replace")).decode
        parts = _COLOUR.split(decode(block))
        return "".join(
            part if _COLOUR.fullmatch(part) else visible(part, "\n\t\r") for part in parts
        ).encode("utf-8", "replace")


def log_start(file: IO[bytes], lines: int | None) -> int:
    """Return where the last *lines* lines begin; None for all."""
    end = position = file.seek(0, os.SEEK_END)
    if not lines:
        return 0 if lines is None else end
    found = 0
    while position:
        size = min(_BLOCK, position)
        position -= size
        file.seek(position)
        block = file.read(size)
        # The last line's own end begins none.
        at = size - (position + size == end and block.endswith(b"\n"))
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            found += 1
            if found == lines:
                return position + at + 1
    return 0
