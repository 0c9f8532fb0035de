"""Draws the progress of a run: a summary, a bar for each model, a line for each running job."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TypeVar

from rich.console import Console
from rich.text import Text

from snakeval.evaluation.duration_text import clock_text, estimate_text
from snakeval.watch.display.tally import Job, Model, Tally

Thing = TypeVar("Thing", Job, Model)

_MOST_ROWS = 30
_BAR_COLUMNS = 40
#: The columns of a bar's counts and of the spaces between.
_COUNTS_COLUMNS = 30


class Picture:
    """Draws a tally.

    Attributes:
        remaining: the estimated seconds that are left; None if unknown.
        visible: the jobs in the last lines.
    """

    def __init__(
        self,
        tally: Tally,
        *,
        color: bool = True,
        ascii_only: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tally, self._clock = tally, clock
        self._full, self._bad, self._empty = "#x-" if ascii_only else "━╳─"
        self._dots = "" if ascii_only else "…"
        # $NO_COLOR is rich's to look at.
        self._console = Console(
            file=io.StringIO(), force_terminal=True, no_color=None if color else True
        )
        self.remaining: float | None = None
        self.visible: list[Job] = []

    def lines(self, columns: int, rows: int) -> list[str]:
        """Return the lines for a terminal of that size. Each line fits in a row."""
        jobs, models = self._tally.jobs(), self._tally.models()
        room = min(rows - 1, _MOST_ROWS) - 1
        room_of_jobs = max(room // 2, room - len(models))
        room_of_models = room - min(len(jobs), room_of_jobs)
        self.visible = jobs[: max(0, room_of_jobs)]
        widest = max((len(model.name) for model in models), default=0)
        texts = [
            self._summary(models),
            *_fitting(models, room_of_models, lambda model: self._bar(model, columns, widest)),
            *_fitting(jobs, room_of_jobs, lambda job: self._job(job, columns)),
        ]
        return [self._rendered(text, columns - 1) for text in texts]

    def _rendered(self, text: Text, columns: int) -> str:
        if text.cell_len > columns:
            text.truncate(columns - len(self._dots), overflow="crop")
            text.append(self._dots)
        with self._console.capture() as captured:
            self._console.print(text, end="", soft_wrap=True)
        return captured.get()

    def _name(self, name: str, columns: int, style: str = "") -> Text:
        if len(name) > columns:
            name = name[: columns - len(self._dots)] + self._dots
        return Text(name.ljust(columns), style)

    def _summary(self, models: list[Model]) -> Text:
        done, total = sum(m.done for m in models), sum(m.total for m in models)
        failed, running = sum(m.failed for m in models), sum(m.running for m in models)
        text = Text()
        text.append(f"{done} of {total} evaluations done", "bold")
        if failed:
            text.append(f", {failed} failed", "bold red")
        if running:
            text.append(f", {running} running", "bold")
        text.append(f"  {clock_text(self._clock() - self._tally.started)}")
        if self.remaining is not None and done + failed < total:
            text.append(f"  {estimate_text(self.remaining)} left")
        return text

    def _bar(self, model: Model, columns: int, widest: int) -> Text:
        text = Text()
        text.append_text(self._name(model.name, min(widest, columns // 3))).append("  ")
        width = min(_BAR_COLUMNS, columns - len(text) - _COUNTS_COLUMNS)
        if width >= 5:
            # One failure is visible, and rounding never draws a failure as done.
            failed = max(1, width * model.failed // model.total) if model.failed else 0
            done = min(width * model.done // model.total, width - failed)
            text.append(self._full * done, "green").append(self._bad * failed, "red")
            text.append(self._empty * (width - done - failed), "dim").append("  ")
        text.append(f"{model.done}/{model.total}")
        if model.failed:
            text.append(f"  {model.failed} failed", "red")
        return text

    def _job(self, job: Job, columns: int) -> Text:
        widest = max(len(_label(job)) for job in self.visible)
        text = Text("  ")
        text.append_text(self._name(_label(job), min(widest, columns // 2), "cyan"))
        text.append(f"  {clock_text(self._clock() - job.since):>5}  ")
        if job.requests is None:
            return text.append(job.doing or ("loads" if job.deploys else "starts"), "dim")
        done, total = job.requests
        text.append(f"{done}/{total} requests" if total else f"{done} requests")
        if job.rate:
            text.append(f"  {job.rate:.{0 if job.rate >= 100 else 1}f}/s")
        return text


def _fitting(things: list[Thing], room: int, draw: Callable[[Thing], Text]) -> Iterator[Text]:
    """Yield as many lines as there is room for, and how many more there are."""
    if len(things) <= room:
        yield from map(draw, things)
    elif room > 0:
        yield from map(draw, islice(things, room - 1))
        yield Text(f"  and {len(things) - room + 1} more", style="dim")


def _label(job: Job) -> str:
    return f"{job.name} (server)" if job.deploys else job.name
