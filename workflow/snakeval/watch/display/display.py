"""Shows a run on a terminal: the logger reports jobs, and a thread reads how far they are."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence

from snakeval.evaluation.events import ENDS, Event, doing
from snakeval.evaluation.progress import requests
from snakeval.ledger.plain_text import visible
from snakeval.serving.directory import DeploymentDirectory
from snakeval.watch.display.picture import Picture
from snakeval.watch.display.reasons import printed_here, sentence
from snakeval.watch.display.tally import Job, Tally
from snakeval.watch.display.terminal import Terminal

_LOOK_SECONDS = 1.0
#: How many jobs that are not shown the thread reads each second, in turn.
_MOST_LOOKS = 20
_ESTIMATE_SECONDS = 5.0
#: How long the events of a job that failed may take to arrive from another machine.
_REASON_SECONDS = 1.0


class Display:
    """Shows *tally* until :meth:`close`."""

    def __init__(self, tally: Tally, *, color: bool) -> None:
        self._tally = tally
        self._untold: dict[int, tuple[Job, float]] = {}
        ascii_only = not (sys.stderr.encoding or "").lower().startswith("utf")
        self._picture = Picture(tally, color=color, ascii_only=ascii_only)
        self._stop = threading.Event()
        self._terminal = Terminal(self._draw)
        threading.Thread(target=self._watch, name="snakeval-watch", daemon=True).start()

    def close(self) -> None:
        """Remove the display from the terminal."""
        self._stop.set()
        self._terminal.close()
        for text in self._reasons(waiting=0):
            print(text, file=sys.stderr)

    def start(self, jobid: int, model: str, part: str, *, deploys: bool) -> None:
        """A job begins."""
        self._tally.start(jobid, model, part, deploys=deploys)

    def finish(self, jobid: int) -> None:
        """A job is done."""
        self._tally.finish(jobid)

    def fail(self, jobid: int) -> None:
        """A job failed."""
        if job := self._tally.fail(jobid):
            self._untold[jobid] = (job, time.monotonic())

    # --- in the terminal's thread -------------------------------------------------------------

    def _draw(self, columns: int, rows: int) -> list[str]:
        for text in self._reasons(waiting=_REASON_SECONDS):
            self._terminal.say(text)
        return self._picture.lines(columns, rows)

    def _reasons(self, waiting: float) -> list[str]:
        """Return why jobs failed that did not print it here: those of another machine."""
        sentences = []
        for jobid, (job, since) in list(self._untold.items()):
            happened = job.events
            ended = bool(happened) and happened[-1].phase in ENDS
            if ended or time.monotonic() - since >= waiting:
                del self._untold[jobid]
                sentences += [text] if (text := reason(job, happened)) else []
        return sentences

    # --- in a thread of its own ---------------------------------------------------------------

    def _watch(self) -> None:
        """Read how far the jobs are: the visible ones, and some of the others in turn."""
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


def reason(job: Job, happened: Sequence[Event]) -> str:
    """Return why a job failed; nothing if it did not, or if it printed the reason here."""
    last = happened[-1] if happened else None
    if last is None or last.phase not in ("failed", "refused") or printed_here(last):
        return ""
    return sentence(last, job.directory)


def _look(job: Job) -> None:
    place = job.directory
    told = None if isinstance(place, DeploymentDirectory) else requests(place)
    job.look(time.monotonic(), told, "" if told else visible(doing(job.events), ""))
