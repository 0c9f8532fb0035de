"""Decides what runs again, and why. No other module forces Snakemake to rerun anything.

Snakemake compares times, and parameters as long as it has its metadata (``.snakemake/``, which
users delete). snakeval compares fingerprints. Snakemake calls the input functions of this module
for the jobs of its DAG, before it decides which of them run. A function that finds a reason
returns the usual paths and adds its target to the forced ones.

====================  ========================================================================
reruns                if
====================  ========================================================================
an evaluation         ``EvaluationDirectory.why_incomplete`` has a reason, or its health fails
a deployment          an evaluation that it serves reruns
the table             an evaluation reruns, an earlier start left endpoints to delete, or the
                      run's plan is not this command's
the exports           a destination did not get all results
====================  ========================================================================
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from snakeval.dag.invocation import Invocation
from snakeval.dag.lookup import Input, Wildcards, signed
from snakeval.errors import EvaluationError
from snakeval.evaluation.definition import Evaluation, reading_of
from snakeval.evaluation.directory import EvaluationDirectory, Incomplete, Kind
from snakeval.evaluation.record import Completion
from snakeval.evaluation.verdict import judge_evaluation
from snakeval.executors import of_run
from snakeval.files import read_text
from snakeval.harnesses import caches_of
from snakeval.matrix.allocations import Allocations
from snakeval.serving.directory import DeploymentDirectory


def must_read_again(evaluation: Evaluation, record: Mapping[str, Any]) -> bool:
    """Whether the record of *evaluation* has metrics of other places in the results."""
    if not evaluation.identity.metrics:
        return False  # its harness writes results that have one place for them
    return reading_of(record["identity"]) != evaluation.reading


def _mend(files: EvaluationDirectory, record: Mapping[str, Any]) -> None:
    """Write the manifest of very many artifacts again, if it is damaged and they are as they were.

    Also note their sizes, which an earlier version has not. ``snakeval verify`` reports
    a manifest that stays damaged.
    """
    if record.get("manifest_apart"):
        with contextlib.suppress(OSError, EvaluationError):
            files.mend_manifest(record, caches_of(record["adapter"]))
            files.note_sizes(Completion.from_dict(record))


class Reruns:
    """The jobs of one invocation that must run again.

    Attributes:
        head: whether this process plans the run; the Snakemake of a job does not.
        force: receives the targets that Snakemake must make in any case.
    """

    def __init__(
        self, invocation: Invocation, *, head: bool, force: Callable[[Iterable[str]], None]
    ) -> None:
        self._invocation, self.head, self.force = invocation, head, force

    # --- what is missing --------------------------------------------------------------------

    @cached_property
    def stale(self) -> Mapping[str, Incomplete]:
        """Published records that do not count, and why."""
        run = self._invocation.directory
        if not self.head or not run.exists:
            return {}
        stale, starts = {}, self._invocation.facts.starts
        for evaluation in self._invocation.selected.values():
            files = run.evaluation(evaluation.id)
            if not files.published.exists():
                continue
            found = files.find_record(evaluation.fingerprint)
            if isinstance(found, Incomplete):
                why = found
            elif must_read_again(evaluation, found):
                why = Incomplete(Kind.OTHER_DEFINITION, "only its metrics are read again")
            elif (verdict := judge_evaluation(evaluation, found.get("health"))).fails:
                why = Incomplete(Kind.UNHEALTHY, verdict.reason)
            elif not files.is_published(evaluation.fingerprint, to_the_letter=starts):
                why = Incomplete(Kind.DAMAGED, f"a copy of {files.published.name} is damaged")
            else:
                if starts:
                    _mend(files, found)
                continue
            stale[self._invocation.record(evaluation)] = why
        return stale

    def is_missing(self, evaluation: Evaluation) -> bool:
        """Whether *evaluation* still has to run."""
        record = self._invocation.record(evaluation)
        return record in self.stale or not Path(record).exists()

    @property
    def changed(self) -> list[Evaluation]:
        """Selected evaluations with a stale record."""
        selected = self._invocation.selected.values()
        return [e for e in selected if self._invocation.record(e) in self.stale]

    def why_stale(self, evaluation: Evaluation) -> str:
        """Return why the record of *evaluation* is stale; if it changed, which parts changed."""
        why = self.stale[self._invocation.record(evaluation)]
        if why.kind is not Kind.OTHER_DEFINITION:
            return why.reason
        record = Path(self._invocation.record(evaluation))
        try:
            before = Completion.from_json(read_text(record)).identity
        except (OSError, ValueError):
            return "its record cannot be read"
        return "; ".join(evaluation.identity.changes(before)) or why.reason

    # --- inputs of the rules ------------------------------------------------------------------

    def missing(self, wildcards: object = None) -> list[str]:
        """The selected records that do not exist: targets of the run beside its table."""
        return [record for record in self._invocation.records if not Path(record).exists()]

    @property
    def stale_evaluation(self) -> Input:
        """An input of an evaluation without files: forces the evaluation if its record is stale.

        Without metadata Snakemake would take the old record for the new result.
        """

        def force_if_stale(wildcards: Wildcards) -> list[str]:
            evaluation = self._invocation.evaluation(wildcards.model, wildcards.benchmark)
            record = self._invocation.record(evaluation)
            if record in self.stale:
                self.force([record])
            return []

        return signed(force_if_stale) if self.stale else []

    def servers(self, allocations: Allocations) -> Callable[[Wildcards], list[str]]:
        """The input of an evaluation of a deployed model: the records of its servers.

        For a finished evaluation the records are ancient, so that a server that starts again does
        not rerun it. A missing evaluation must not have ancient inputs: Snakemake skips the job of
        an ancient input that is remade (`DAG.update_needrun`: masked).
        """
        from snakemake.io import ancient

        @cache
        def needed() -> frozenset[tuple[str, int]]:
            return frozenset(
                server
                for evaluation in self._invocation.selected.values()
                if evaluation.transport.servers and self.is_missing(evaluation)
                for server in allocations.servers(evaluation)
            )

        def records(wildcards: Wildcards) -> list[str]:
            evaluation = self._invocation.evaluation(wildcards.model, wildcards.benchmark)
            servers = allocations.servers(evaluation)
            run = self._invocation.directory
            paths = [DeploymentDirectory.of(run, name, number).output for name, number in servers]
            # An existing record may be of a server that ended long ago.
            self.force(p for s, p in zip(servers, paths, strict=True) if s in needed())
            return paths if self.is_missing(evaluation) else [ancient(path) for path in paths]

        return signed(records)

    def records(self, wildcards: object = None) -> list[str]:
        """The input of the table: the records of the selected evaluations.

        If endpoints are left, or the plan is to be saved, it forces the table: with nothing to do,
        Snakemake would end before its hooks delete and save them.
        """
        run = self._invocation.directory
        if self._left_endpoints or (self.head and run.exists and not self._invocation.is_saved):
            self.force([str(self._invocation.directory.table)])
        return self._invocation.records

    @cached_property
    def _left_endpoints(self) -> bool:
        """Whether an executor may have endpoints that an earlier start did not delete."""
        run = self._invocation.directory
        found = of_run(run) if self.head and run.exists else ()
        return any(executor.leaves(run) for executor in found)

    @property
    def undelivered(self) -> list[str] | Callable[[object], list[str]]:
        """An input of the exports without files: forces them if a destination lacks results."""
        exports = self._invocation.exports
        if not exports or not self.head:
            return []
        from snakeval.exporters.note import undelivered

        if not undelivered(self._invocation.directory):
            return []

        def force_exports(wildcards: object) -> list[str]:
            self.force(exports)
            return []

        return signed(force_exports)
