"""The object that the Snakefile and its rules call: it looks up an invocation by wildcards.

The rules are static; every number and path that differs between jobs is a lookup in constant time.
Opening the matrix writes nothing, since every remote job reads the Snakefile again.
:meth:`Matrix.save` writes, once, at the start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

from snakeval.config.types import DEPLOYMENT
from snakeval.dag import announce, planning
from snakeval.dag.invocation import Invocation
from snakeval.dag.job_rate import lift_default
from snakeval.dag.lookup import DeploymentWildcards, Input, Lookup, Wildcards, signed
from snakeval.dag.no_retry import spare
from snakeval.dag.reruns import Reruns
from snakeval.evaluation.definition import Evaluation
from snakeval.executors import of_plugin, of_run
from snakeval.executors.base import Executor
from snakeval.files import in_one_sentence
from snakeval.matrix.allocations import Allocations
from snakeval.matrix.durations import Durations
from snakeval.matrix.order import Order
from snakeval.matrix.planned_jobs import PlannedJob, planned
from snakeval.matrix.slurm_requests import SITE
from snakeval.serving.directory import DeploymentDirectory

if TYPE_CHECKING:
    from snakeval.dag.on_end import End

#: The number of an allocation, by the folder of its deployment.
_number = DeploymentDirectory.number


class Matrix:
    """The bridge from an invocation to the rules of one Snakemake *workflow*."""

    def __init__(self, invocation: Invocation, workflow: Any) -> None:
        self.invocation = invocation
        self._workflow = workflow
        self.head: bool = workflow.is_main_process
        self.reruns = Reruns(
            invocation,
            head=self.head,
            force=lambda targets: workflow.dag.forcefiles.update(targets),
        )

    @property
    def run(self) -> str:
        """The run's directory, as the rules' paths begin."""
        return str(self.invocation.directory)

    @property
    def deployment(self) -> str:
        """The pattern of the directories of deployments."""
        return DEPLOYMENT.pattern

    def __getitem__(self, wildcards: Wildcards) -> Evaluation:
        return self.invocation.evaluation(wildcards.model, wildcards.benchmark)

    @property
    def fingerprint(self) -> Callable[[Wildcards], str]:
        """An evaluation's fingerprint. It is a param, so a changed definition is stale."""

        def fingerprint(wildcards: Wildcards) -> str:
            return self[wildcards].fingerprint

        return signed(fingerprint)

    @property
    def servers(self) -> Input:
        """The input of an evaluation of a deployed model: the records of its servers."""
        if not self.invocation.deployed:
            return []
        records = self.reruns.servers(self.allocations)
        if self.head:
            return records

        def records_in_a_job(wildcards: Wildcards) -> list[str]:
            # A Snakemake within an allocation does not inherit it (snakemake issue 2508). The
            # settings do not exist yet while Snakemake reads the Snakefile.
            self._workflow.execution_settings.keep_going = True
            return records(wildcards)

        return signed(records_in_a_job)

    # --- what jobs require ------------------------------------------------------------------

    def resource(self, name: str) -> int | Callable[[Wildcards], int]:
        """The amount of the resource *name* that evaluations require: a number, or a lookup.

        Snakemake calls each function once a job, which is slow for 10,000 jobs.
        """
        default = self._default(name)

        def amount(evaluation: Evaluation) -> int:
            own = evaluation.transport.resources.get(name)
            asked = self.allocations.asked(evaluation, name)
            # 0 means that the allocation's job requests it, so this job adds nothing.
            return 0 if asked == 0 else own or asked or default

        amounts = {amount(evaluation) for evaluation in self.invocation.selected.values()}
        if len(amounts) == 1:
            return amounts.pop()
        return signed(lambda wildcards: amount(self[wildcards]))

    def gpus(self, wildcards: DeploymentWildcards) -> int:
        """How many GPUs the job that deploys a model requires."""
        return self.allocations.gpus(wildcards.model, _number(wildcards.deployment))

    def mem_mb(self, wildcards: DeploymentWildcards) -> int:
        """How much memory the job that deploys a model requires, in MiB."""
        asked = self.allocations.mem_mb(wildcards.model, _number(wildcards.deployment))
        return asked or self._default("mem_mb")

    def runtime(self, wildcards: DeploymentWildcards) -> int:
        """How long the job that deploys a model may last with all that follows, in minutes."""
        return self.allocations.runtime(wildcards.model) or self._default("runtime")

    def _default(self, name: str) -> int:
        """The profile's default-resources, which a resource of a rule would hide."""
        value = self._profiled(name)
        return int(value) if value else 0

    def _profiled(self, name: str) -> str | int | None:
        default = self._workflow.resource_settings._parsed_default_resources.get(name)
        return None if default.is_evaluable() else default.value

    @property
    def site(self) -> dict[str, Any]:
        """The resources that ``execution`` requests for an evaluation's job."""
        of = self.allocations.requests.site_of_evaluation
        selected = self.invocation.selected
        return self._site(lambda: map(of, selected.values()), lambda wildcards: of(self[wildcards]))

    @property
    def site_of_deployments(self) -> dict[str, Any]:
        """The resources that ``execution`` requests for the jobs that deploy."""
        of = self.allocations.requests.site_of_model
        deployed = self.invocation.deployed
        return self._site(lambda: map(of, deployed), lambda wildcards: of(wildcards.model))

    def _site(
        self, everything: Callable[[], Iterable[Mapping[str, Any]]], asked: Lookup
    ) -> dict[str, Any]:
        """Return a value or a lookup for each resource that jobs request.

        *everything* returns the requests of all jobs, *asked* that of the job with some wildcards.
        """
        found: dict[str, Any] = {}
        names = self.allocations.requests.names
        all_asked = list(everything()) if names else []
        for name in names:
            profiled = self._profiled(name)
            values = {each.get(name, profiled) for each in all_asked}
            found[name] = (
                values.pop()
                if len(values) == 1
                else signed(
                    lambda wildcards, name=name, profiled=profiled: asked(wildcards).get(
                        name, profiled
                    )
                )
            )
        return {name: value for name, value in found.items() if value is not None}

    # --- where jobs run, and in which order ---------------------------------------------------

    @cached_property
    def allocations(self) -> Allocations:
        """Which jobs share an allocation of the scheduler."""
        invocation = self.invocation
        return Allocations(
            invocation.config,
            invocation.selected,
            invocation.deployed,
            remote=self._remote,
            slots=self._workflow.resource_settings.cores or 1,
            saved=invocation.saved.allocations,
            newest=invocation.directory.allocations,
            head=self.head,
            missing=self.reruns.is_missing,
            busy=lambda: any(
                job.state.lives
                for executor in of_run(invocation.directory)
                for job in executor.jobs(invocation.directory).all()
            ),
        )

    @property
    def jobs(self) -> list[PlannedJob]:
        """The jobs that the command will submit to a scheduler."""
        if not self._remote:
            return []
        names = (*SITE, "mem_mb", "runtime")
        defaults = {name: value for name in names if (value := self._profiled(name))}
        return planned(self.allocations, self.invocation.selected, defaults, self.reruns.is_missing)

    @property
    def missing(self) -> list[Evaluation]:
        """The evaluations that the command will run."""
        return [e for e in self.invocation.selected.values() if self.reruns.is_missing(e)]

    @property
    def _remote(self) -> bool:
        """Whether jobs are submitted to a scheduler, or this is within such a job."""
        return not self.head or self._workflow.resource_settings.nodes is not None

    @property
    def _executor(self) -> Executor:
        """The executor of the jobs. Snakemake knows it only after it has read the rules."""
        plugin = self._workflow.executor_plugin
        return self._of_plugin(plugin.name) if plugin is not None else Executor()

    @cached_property
    def _of_plugin(self) -> Callable[[str], Executor]:
        # Every job asks for its group. For a plugin that is not built in (`-n` has "dryrun"), each
        # search reads the metadata of all installed packages.
        return cache(of_plugin)

    def allocation(self, wildcards: Any) -> str | None:
        """The group of a job: a model's server and its evaluations are one job of a scheduler."""
        if not self._executor.groups:
            return None  # a deployed model is no job there, and each evaluation is one
        if hasattr(wildcards, "benchmark"):
            return self.allocations.group(self[wildcards])
        return self.allocations.group_of(wildcards.model, _number(wildcards.deployment))

    @property
    def priority(self) -> int | Callable[[Wildcards], int]:
        """The priority of an evaluation; a number if nothing is known to order by."""
        if not self.invocation.deployed and not self._durations:
            return 0
        order = self._order
        return signed(lambda wildcards: order.evaluations[wildcards.model, wildcards.benchmark])

    def deploy_priority(self, wildcards: DeploymentWildcards) -> int:
        """The priority of the job that deploys a model."""
        return self._order.server(wildcards.model)

    @cached_property
    def _durations(self) -> Durations:
        return Durations.load()

    @cached_property
    def _order(self) -> Order:
        invocation = self.invocation
        return Order(invocation.config.models, invocation.selected, self._durations)

    # --- in the head: before planning, at the start and at the end ------------------------------

    def notes(self) -> list[str]:
        """Sentences for the person who plans or starts the run.

        Raises:
            SystemExit: the person asked the site, which refuses a job; the message has its words.
        """
        lines = announce.notes(self.invocation, self.reruns, self.allocations)
        return [*lines, *planning.notes(self._workflow, self)]

    def save(self) -> None:
        """Write what the jobs read and what people run by hand: only what changed.

        Raises:
            SystemExit: the run cannot start; the message is the reason.
        """
        from snakeval.dag.on_start import Start

        parts = (self.invocation, self.allocations)
        with in_one_sentence(self.invocation.directory.path):
            Start(*parts, remote=self._remote, executor=self._executor).write()
        lift_default(scheduler := self._workflow.scheduler)
        spare(scheduler)
        if not self._workflow.local_exec:
            from snakeval.dag.refusals import Refusals

            Refusals(self._fingerprint_of).watch(scheduler._executor)

    def _fingerprint_of(self, name: str) -> str:
        model, _, benchmark = name.partition("/")
        evaluation = self.invocation.selected.get((model, benchmark))
        return evaluation.fingerprint if evaluation else ""

    @property
    def end(self) -> End:
        """The end of the run, which this process reports."""
        from snakeval.dag.on_end import End

        return End(self.invocation, self.allocations, executor=self._executor)
