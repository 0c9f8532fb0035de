"""A run on a terminal: what happens comes in, and a thread looks how far jobs are."""

from __future__ import annotations

import re
import sys
import threading
import time
from typing import TYPE_CHECKING

from snakeval.evaluation.progress import doing, requests
from snakeval.logs import tail
from snakeval.watch.display.picture import Picture
from snakeval.watch.display.tally import Job, Tally
from snakeval.watch.display.terminal import Terminal

if TYPE_CHECKING:
    pass

_LOOK_SECONDS = 1.0
#: Jobs beyond those that are shown are looked at in turn, so many a second.
_MOST_LOOKS = 20
_ESTIMATE_SECONDS = 5.0
#: How long the sentence of a job that failed may be under way.
_SENTENCE_SECONDS = 1.0

_FAILED = re.compile(r"^(\S+/\S+) failed: ")
_ADOPTED = re.compile(r"^(\S+/\S+): adopted, ")
#: In front of the last line of a deployment's log.
_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\S+ ")


class Display:
    """Shows *tally* until :meth:`close`."""

    def __init__(self, tally: Tally, *, color: bool) -> None:
        self._tally = tally
        self._told: set[str] = set()
        self._untold: dict[str, float] = {}
        ascii_only = not (sys.stderr.encoding or "").lower().startswith("utf")
        self._picture = Picture(tally, color=color, ascii_only=ascii_only)
        self._stop = threading.Event()
        self._terminal = Terminal(self._draw, self._heard)
        threading.Thread(target=self._watch, name="snakeval-watch", daemon=True).start()

    def close(self) -> None:
        """Take it off the terminal."""
        self._stop.set()
        self._terminal.close()
        for sentence in self._reasons(waiting=0):
            print(sentence, file=sys.stderr)

    def start(self, jobid: int, name: str) -> None:
        """A job begins."""
        self._told.discard(name)
        self._tally.start(jobid, name)

    def finish(self, jobid: int) -> None:
        """A job is done."""
        self._tally.finish(jobid)

    def fail(self, jobid: int) -> None:
        """A job failed."""
        if name := self._tally.fail(jobid):
            self._untold[name] = time.monotonic()

    # --- in the terminal's thread -------------------------------------------------------------

    def _draw(self, columns: int, rows: int) -> list[str]:
        for sentence in self._reasons(waiting=_SENTENCE_SECONDS):
            self._terminal.say(sentence)
        return self._picture.lines(columns, rows)

    def _heard(self, line: str) -> None:
        if match := _FAILED.match(line):
            self._told.add(match[1])
        elif match := _ADOPTED.match(line):
            self._tally.adopt(match[1])

    def _reasons(self, waiting: float) -> list[str]:
        """Say why jobs failed that did not say it here, as those of another machine do not."""
        sentences = []
        for name, since in list(self._untold.items()):
            if name in self._told or time.monotonic() - since >= waiting:
                del self._untold[name]
                if name not in self._told and (sentence := self._tally.reason(name)):
                    sentences.append(sentence)
        return sentences

    # --- in a thread of its own ---------------------------------------------------------------

    def _watch(self) -> None:
        """Look how far jobs are: those that are shown, and some of the others in turn."""
        position, estimated = 0, 0.0
        while not self._stop.wait(_LOOK_SECONDS):
            jobs, shown = self._tally.jobs(), self._picture.visible
            position = position % len(jobs) if jobs else 0
            others = [*jobs[position:], *jobs[:position]][:_MOST_LOOKS]
            position += _MOST_LOOKS
            for job in {id(job): job for job in [*shown, *others]}.values():
                _look(job)
            if time.monotonic() - estimated > _ESTIMATE_SECONDS:
                self._picture.remaining = self._tally.remaining()
                estimated = time.monotonic()


def _look(job: Job) -> None:
    if job.deploys:
        last = tail(job.directory.path / "deploy.log", 2000).strip().rpartition("\n")[2]
        job.look(time.monotonic(), None, _STAMP.sub("", last))
    else:
        told = requests(job.directory)
        job.look(time.monotonic(), told, "" if told else doing(job.directory))
