"""Ends a run, also after failures: stops servers, and prints the table and the report's place."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from snakeval import executors
from snakeval.dag.invocation import Invocation
from snakeval.errors import ConfigError, EvaluationError
from snakeval.evaluation import requests
from snakeval.evaluation.duration_text import duration_text, estimate_text
from snakeval.executors.base import Executor, Job
from snakeval.files import DAMAGE, unwritable
from snakeval.matrix.allocations import Allocations
from snakeval.matrix.durations import Durations
from snakeval.matrix.usage import Usages
from snakeval.results import readable
from snakeval.results.pivot import pivot
from snakeval.run.heads import leave
from snakeval.serving.directory import DeploymentDirectory
from snakeval.watch.display.terminal import columns
from snakeval.watch.spending import spending

#: How many warnings are printed.
_WARNINGS = 20


@dataclass(frozen=True, slots=True)
class End:
    """A run whose Snakemake ends."""

    invocation: Invocation
    allocations: Allocations
    executor: Executor

    def report(self) -> None:
        """Stop the models' servers, print the results table and the place of the report.

        Writes both if their rules did not run, as after a failure.
        """
        run = self.invocation.directory
        jobs = self.executor.jobs(run).noted()
        for line in spent(self.allocations, jobs, self.executor.title):
            print(line)
        # Before: of two Snakemakes that end together, one must find itself to be the last.
        leave(run)
        # An earlier start may have left something on another executor.
        for executor in executors.of_run(run):
            executor.close(run, print)
        missing: set[str] = set()
        try:
            rows = run.read_table()
            is_current = rows is not None and self._is_current(run.table_markdown)
            if not is_current:
                from snakeval.results import table as results

                rows = results.records(results.write(run))
                self._date_back(*run.tables)
            rows = self._own(rows or [])
            if not is_current:
                unfinished = (row for row in rows if row["status"] in ("failed", "pending"))
                missing = {f"{row['model']}/{row['benchmark']}" for row in unfinished}
            self._learn(rows)
        except (OSError, ConfigError) as error:
            print(f"snakeval: no results table: {_sentence(error, run.path)}", file=sys.stderr)
            return
        print(f"\n{self._text(rows)}", flush=True)
        self._compare()
        try:
            if not self._is_current(run.report):
                from snakeval.results import report

                self._date_back(report.write(run), run.report_summary)
            print(f"Report:  {run.report}", flush=True)
        except OSError as error:
            print(f"snakeval: no report: {_sentence(error, run.path)}", file=sys.stderr)
        self._report_cost()
        if self.invocation.exports:
            self._report_exports()
        self.alarm()
        for line in warnings(rows):
            print(line, flush=True)
        if columns():  # a person reads it
            print(self._next, flush=True)
        if missing := missing & {each.id for each in self.invocation.selected.values()}:
            print(self._advice(len(missing)), flush=True)

    def _advice(self, missing: int) -> str:
        """Return what to do for evaluations of this command that are not done."""
        invocation = self.invocation
        run, many = invocation.run, len(invocation.selected)
        verb = "is" if missing == 1 else "are"
        text = f"{missing} of {many} evaluation{'s' * (many != 1)} {verb} not done. "
        budget = invocation.config.budget
        spent = spending(invocation.directory) if budget and budget.limits else []
        if any(part.spent >= part.limit for part in spent):
            return f"{text}The budget is used up: `snakeval resume {run.id} --budget …` continues"
        resume = f"`snakeval resume {run.id}`"
        if invocation.selection.offline:
            return f"{text}{resume} asks the models for what the journals lack"
        # The same command would score everything again, in another run.
        again = resume if invocation.rescoring else "the same command"
        return f"{text}Run {again} to finish {'it' if missing == 1 else 'them'}."

    def shown(self) -> str:
        """Return the results table that is there, and the places of table and report."""
        run = self.invocation.directory
        rows = run.read_table()
        if rows is None:
            return ""
        rows = self._own(rows)
        lines = [self._text(rows), f"Report:  {run.report}", *warnings(rows)]
        return "\n".join(lines)

    @property
    def _next(self) -> str:
        run = self.invocation.run.id
        return f"Next:    snakeval report {run} --open, or snakeval compare BASELINE {run}"

    def _text(self, rows: list[dict[str, Any]]) -> str:
        width = columns()
        shown = readable.fitted(rows, width) if width else readable.to_markdown(rows)
        if width and (glance := pivot(rows, width, bold="NO_COLOR" not in os.environ)):
            shown += f"\n\n{glance}\n"
        return f"{shown}\nResults: {self.invocation.directory.table}"

    def _compare(self) -> None:
        """Print how the scores of a re-score compare with those before."""
        if (rescoring := self.invocation.rescoring) is None:
            return
        print(f"Re-scored from run {rescoring.run.id}:")
        for evaluation in self.invocation.selected.values():
            print(f"  {evaluation.id}: {rescoring.outcome(self.invocation.directory, evaluation)}")

    def _own(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the rows of this command's evaluations.

        Another command may have written the run's table meanwhile, of its plan.
        """
        planned = self.invocation.planned
        there = {(r["model"], r["benchmark"]): r.get("fingerprint") or "" for r in rows}
        if {(p.model, p.benchmark): p.fingerprint for p in planned} == there:
            return rows
        from snakeval.results import table as results

        return results.records(results.table(self.invocation.directory, planned))

    def alarm(self) -> None:
        """Decide alarms of this command's results, and deliver what an earlier one could not.

        No problem ends the command.
        """
        from snakeval.results.alarms.look import Alarms

        alarms = Alarms(self.invocation.directory, self.invocation.config, say)
        if not alarms.is_wanted:
            return
        own = {evaluation.model for evaluation in self.invocation.selected.values()}
        try:
            for each in alarms.decide(lambda model: model not in own):
                say(f"Alarm: {each.alarm['text']}")
            alarms.deliver()
        except (OSError, ConfigError, EvaluationError, *DAMAGE) as error:
            say(f"alarms failed: {error}. The next command tries again")

    def _report_cost(self) -> None:
        """Print the cost of the run if models have prices."""
        from snakeval.results.money import Costs

        run = self.invocation.directory
        if total := Costs(run, run.plan()).total():
            print(f"Cost:    {total}" + (f" ({total.note})" if total.note else ""), flush=True)

    def _report_exports(self) -> None:
        """Print which exports arrived. The rule that exports never fails."""
        from snakeval.exporters.note import read, undelivered

        run = self.invocation.directory
        by_hand = f"`snakeval export {self.invocation.run.id}`"
        if not self._is_current(Path(self.invocation.exports[0])):
            print(
                f"Not exported: the run is not complete. {by_hand} sends the results so far",
                flush=True,
            )
            return
        lacking = undelivered(run)
        if arrived := [name for name in read(run) if name not in lacking]:
            print(f"Exported to {', '.join(arrived)}", flush=True)
        for name, reason in lacking.items():
            print(
                f"Not all exported to {name}: {reason}. Run the same command or {by_hand} to retry",
                flush=True,
            )

    def _learn(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Record how long evaluations and model loads took, and what the evaluations used."""
        durations, usages = Durations.load(), Usages.load()
        for name, deployment in self.invocation.deployed.items():
            first = DeploymentDirectory.of(self.invocation.directory, name)
            for allocation in first.allocations():
                seconds = allocation.read_record().get("seconds")
                if seconds is not None:
                    durations.learn_loading(deployment, seconds)
        for row in rows:
            evaluation = self.invocation.selected.get((row["model"], row["benchmark"]))
            if evaluation is not None and row["status"] == "done":
                durations.learn(evaluation, row["seconds"])
                directory = self.invocation.directory.evaluation(evaluation.id)
                counts = partial(requests.read, directory)
                usages.learn(evaluation, row["finished"], row["n"], counts)
        with suppress(OSError):  # the home is full or closed now; the results are elsewhere
            durations.save()
            usages.save()

    def _date_back(self, *files: Path) -> None:
        """Date files before any record, so that their rules rerun when more records exist."""
        date = self.invocation.directory.origin.stat().st_mtime
        for file in files:
            os.utime(file, (date, date))

    def _is_current(self, made_of_records: Path) -> bool:
        """Whether a file is newer than every record and the plan, so that its rule wrote it."""
        try:
            made = made_of_records.stat().st_mtime
            parts = [
                *map(Path, self.invocation.records),
                self.invocation.directory.plan_file,
            ]
            return all(part.stat().st_mtime <= made for part in parts)
        except FileNotFoundError:
            return False


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def warnings(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each evaluation whose health warns, of many only the first ones."""
    found = {f"{r['model']}/{r['benchmark']}": r["warning"] for r in rows if r.get("warning")}
    lines = [f"Warning: {name}: {text}" for name, text in found.items()]
    if len(lines) > _WARNINGS:
        more = len(lines) - _WARNINGS
        lines[_WARNINGS:] = [f"and {more} more warnings in the column health of the table"]
    return lines


def spent(allocations: Allocations, jobs: Iterable[Job], title: str) -> list[str]:
    """Compare what packed allocations took with what the packing expected.

    *jobs* are those of the executor with that *title*.
    """
    if not allocations.packed or not allocations.saved.exists():
        return []
    # The file is as old as the packing: jobs of an earlier packing do not count.
    since = datetime.fromtimestamp(allocations.saved.stat().st_mtime, UTC)
    every = [job for job in jobs if job.submitted >= since.isoformat("T", "seconds")]
    lines = []
    for name, packed in allocations.packed.items():
        own = [job for job in every if any(n.startswith(f"{name}/") for n in job.names)]
        if not own or not packed.seconds:
            continue
        took = sum(job.seconds for job in own) / 3600
        expected = sum(packed.seconds.values()) / 3600
        line = f"Allocations: {name} took {duration_text(3600 * took)} in {len(own)} {title} jobs"
        line += f", {estimate_text(3600 * expected)} expected"
        if packed.gpus:
            took, expected = took * packed.gpus, expected * packed.gpus
            line += f" ({took:.1f} GPU-hours, {expected:.1f} expected)"
        lines.append(line)
    return lines


def _sentence(error: OSError | ConfigError, place: Path) -> str:
    if isinstance(error, ConfigError):
        return str(error)
    return unwritable(error.filename or place, error, "output_dir")
