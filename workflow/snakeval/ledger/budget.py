"""The budget of a run: one file from which the gateways on all nodes take slices.

A gateway has an account in the file. It takes a slice before it spends it, and says at its end
what it spent, so that the rest comes back. The account of a gateway that was killed stays open with
all that it took, until the next gateway of its evaluation has read its journal and ends it.

Each line of the file is a CRC-32 and a JSON object; a line is written under a lock, and a torn one
is ignored. No line changes, so a process reads only what is new.

A file also has clocks: seconds that pass once for all gateways that run at the same time.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from snakeval.ledger.locked import locked

#: The kinds of a budget, except time. Money is in the currency of the prices.
MONEY, TOKENS, REQUESTS = KINDS = ("money", "tokens", "requests")
#: The time in which at least one gateway of the run works, in seconds.
WALL = "wall"
#: A gateway takes so much of a budget at a time.
SLICE = 0.01
#: A clock advances by at most so many seconds: before, no gateway worked.
LONGEST_TICK = 15.0
_WHOLE = (TOKENS, REQUESTS)
_NOTHING = 1e-9

Amounts = dict[str, float]


@dataclass
class Account:
    """The slices that one gateway took, and its spending.

    Attributes:
        place: of its evaluation in the run.
        is_kept: whether a journal keeps its answers and what they cost.
        taken, used: as its last line says.
        unkept: the part of ``used`` that is in no journal: tries without a sound answer.
        has_ended: ``used`` is final, and what was taken beyond it came back.
    """

    id: str
    place: str = ""
    is_kept: bool = True
    taken: Amounts = field(default_factory=dict)
    used: Amounts = field(default_factory=dict)
    unkept: Amounts = field(default_factory=dict)
    has_ended: bool = False

    def committed(self, kind: str) -> float:
        """Return what others cannot take."""
        used = self.used.get(kind, 0.0)
        return used if self.has_ended else max(used, self.taken.get(kind, 0.0))


class BudgetFile:
    """The file of a run's budget, as one process sees it.

    Args:
        path: of the file. Its directory must exist.
        limits: by kind; what no kind limits is counted all the same.
        now: the clock of the run's clocks.
        lock: opens the file under a lock.
    """

    def __init__(
        self,
        path: Path,
        limits: Mapping[str, float],
        *,
        now: Callable[[], float] = time.time,
        lock: Callable[[Path], contextlib.AbstractContextManager[int]] = locked,
    ) -> None:
        self.path, self.limits = path, dict(limits)
        self._now, self._lock = now, lock
        self.accounts: dict[str, Account] = {}
        #: Seconds, and what they cost, by the name of a clock.
        self.clocks: dict[str, Amounts] = {}
        self._read_to = 0

    def slice_of(self, kind: str) -> float:
        """Return how much a gateway takes at a time."""
        part = self.limits[kind] * SLICE
        return float(max(1, int(part))) if kind in _WHOLE else part

    # --- read -----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read what is new, without a lock.

        Raises:
            OSError: the file cannot be read.
        """
        with contextlib.suppress(FileNotFoundError):
            file = os.open(self.path, os.O_RDONLY)
            try:
                self._read(file)
            finally:
                os.close(file)

    def spent(self, kind: str) -> float:
        """Return what is known to be spent; open accounts may have spent some slices more."""
        if kind == WALL:
            return self._clock(WALL).get("seconds", 0.0)
        accounts = sum(each.used.get(kind, 0.0) for each in self._accounts())
        return accounts + self._of_clocks(kind)

    def free(self, kind: str) -> float:
        """Return how much of a limited kind can be taken; not below 0."""
        if kind == WALL:
            return max(0.0, self.limits[kind] - self.spent(kind))
        committed = sum(each.committed(kind) for each in self._accounts())
        left = self.limits[kind] - committed - self._of_clocks(kind)
        # Sums of fractions leave a rest that is nothing.
        return left if left > _NOTHING * self.limits[kind] else 0.0

    def used_up(self) -> list[str]:
        """Return the kinds of which nothing is left."""
        return [kind for kind in (*KINDS, WALL) if kind in self.limits and not self.free(kind)]

    def left_open(self, place: str) -> list[Account]:
        """Return the accounts of an evaluation that have not ended."""
        found = self._accounts()
        return [each for each in found if each.place == place and not each.has_ended]

    def _accounts(self) -> list[Account]:
        """Return the accounts; the thread that reads the file may add some meanwhile."""
        return list(self.accounts.values())

    def _clock(self, name: str) -> Amounts:
        return self.clocks.get(name, {})

    def _of_clocks(self, kind: str) -> float:
        return sum(each.get(kind, 0.0) for each in self.clocks.values())

    def _read(self, file: int) -> bool:
        """Read from where the last look ended; return whether the file ends with a torn line."""
        size = os.fstat(file).st_size
        if size < self._read_to:
            self.accounts, self.clocks, self._read_to = {}, {}, 0
        parts = []
        at = self._read_to
        while part := os.pread(file, 1 << 20, at):
            parts.append(part)
            at += len(part)
        whole, mark, torn = b"".join(parts).rpartition(b"\n")
        for line in whole.split(b"\n") if mark else ():
            entry = _parsed(line)
            if entry is not None:
                self._apply(entry)
        self._read_to = at - len(torn)
        return bool(torn)

    def _apply(self, entry: Mapping[str, Any]) -> None:
        if "clock" in entry:
            clock = self.clocks.setdefault(entry["clock"], {})
            clock["at"] = entry["at"]
            for name, amount in (("seconds", entry["by"]), (MONEY, entry.get(MONEY, 0.0))):
                clock[name] = clock.get(name, 0.0) + amount
            return
        account = self.accounts.setdefault(entry["account"], Account(entry["account"]))
        if account.has_ended:
            return
        account.place = entry.get("place", account.place)
        account.is_kept = entry.get("is_kept", account.is_kept)
        account.taken = entry.get("taken", account.taken)
        account.used = entry.get("used", account.used)
        account.unkept = entry.get("unkept", account.unkept)
        account.has_ended = entry.get("ended", False)

    # --- write ----------------------------------------------------------------------------

    def open(self, place: str, *, is_kept: bool) -> Account:
        """Open an account for a gateway of an evaluation.

        Raises:
            OSError: the file cannot be written.
        """
        name = uuid.uuid4().hex
        with self._writing() as entries:
            entries.append({"account": name, "place": place, "is_kept": is_kept})
        return self.accounts[name]

    def take(self, id: str, used: Amounts, unkept: Amounts, wanted: Mapping[str, float]) -> Amounts:
        """Take *wanted* amounts beyond what the account has, or what is left of them.

        Return all that the account ever took, by kind. *used* and *unkept* are of this moment.

        Raises:
            OSError: the file cannot be written.
        """
        with self._writing() as entries:
            account = self.accounts[id]
            if account.has_ended:
                return {}  # this process stood still, and its successor took over
            account.used, account.unkept = dict(used), dict(unkept)
            taken = dict(account.taken)
            for kind, amount in wanted.items():
                grant = min(amount, self.free(kind))
                if grant > 0:
                    taken[kind] = account.committed(kind) + grant
            entries.append({"account": id, "taken": taken, "used": used, "unkept": unkept})
        return dict(taken)

    def end(self, id: str, used: Amounts) -> None:
        """End an account: it spent this, and the rest of its slices comes back.

        Raises:
            OSError: the file cannot be written.
        """
        with self._writing() as entries:
            entries.append({"account": id, "used": used, "ended": True})

    def tick(self, rates: Mapping[str, float]) -> None:
        """Advance clocks to now; *rates* has the money that an hour of each costs.

        Raises:
            OSError: the file cannot be written.
        """
        with self._writing() as entries:
            now = self._now()
            for name, rate in rates.items():
                last = self._clock(name).get("at")
                gap = 0.0 if last is None else now - last
                if last is not None and gap < 1.0:
                    continue  # another gateway has advanced it
                by = gap if gap <= LONGEST_TICK else 0.0
                entry = {"clock": name, "at": round(now, 3), "by": round(by, 3)}
                entries.append({**entry, MONEY: rate * by / 3600} if rate else entry)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[list[dict[str, Any]]]:
        """Lock the file, read what is new, and append the entries that the block adds."""
        entries: list[dict[str, Any]] = []
        with self._lock(self.path) as file:
            torn = self._read(file)
            yield entries
            if entries:
                data = b"\n" * torn + b"".join(_line(entry) for entry in entries)
                view = memoryview(data)
                while view:
                    view = view[os.write(file, view) :]
                os.fsync(file)
                self._read(file)


def _line(entry: Mapping[str, Any]) -> bytes:
    text = json.dumps(entry, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """Return the entry of a line, or None if it is torn or damaged."""
    check, _, text = line.partition(b" ")
    try:
        if int(check, 16) != zlib.crc32(text):
            return None
        found: dict[str, Any] = json.loads(text)
    except ValueError:
        return None
    return found
