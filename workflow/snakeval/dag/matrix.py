"""What the Snakefile and its rules call: the matrix, looked up by wildcards in constant time.

The only module of the package that knows Snakemake. Opening the matrix writes nothing (the
Snakefile is read again in every remote job); :meth:`Matrix.save` writes, once, at the start.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from snakeval.config.config import Config
from snakeval.config.load import Selection
from snakeval.config.types import DEPLOYMENT
from snakeval.dag.announce import changes_since
from snakeval.dag.lookup import DeploymentWildcards, Lookup, Wildcards, signed
from snakeval.dag.preflight import why_no_room
from snakeval.errors import ConfigError, EvaluationError
from snakeval.evaluation.definition import Evaluation, canonical_json, digest
from snakeval.evaluation.directory import evaluation_directory
from snakeval.evaluation.record import INTERVALS_VERSION
from snakeval.executors import of_plugin, of_run
from snakeval.executors.base import Executor
from snakeval.harnesses import parser_versions
from snakeval.matrix.allocations import Allocations
from snakeval.matrix.durations import Durations
from snakeval.matrix.expand import deployments, split
from snakeval.matrix.hosting import directory, number
from snakeval.run.find import Run, find

#: Where models are served by hand, one port after the other.
_BY_HAND_PORT = 8000


class Matrix:
    """The evaluations of one run, for the rules.

    ``everything`` is what the configuration names, ``selected`` what this invocation chose.
    """

    def __init__(self, config: Config, selection: Selection, workflow: Any = None) -> None:
        self.config = config
        self._workflow = workflow
        self._run: Run = find(config, selection.run)
        self.everything, self.left_out = split(config)
        self._deployed = deployments(config)
        self.selected = {
            (e.model, e.benchmark): e
            for e in self.everything
            if (selection.models is None or e.model in selection.models)
            and (selection.benchmarks is None or config.base(e.benchmark) in selection.benchmarks)
        }
        if not self.selected:
            raise ConfigError("--config models, benchmarks: no evaluation is in both; choose more")

    @property
    def run(self) -> str:
        """The run's directory, as the rules' paths begin."""
        return str(self._run.directory)

    def __getitem__(self, wildcards: Wildcards) -> Evaluation:
        try:
            return self.selected[wildcards.model, wildcards.benchmark]
        except KeyError:
            raise ConfigError(
                f"{wildcards.model}/{wildcards.benchmark} is no evaluation of this run; "
                "`snakemake -n` lists those that are"
            ) from None

    def records(self, wildcards: object = None) -> list[str]:
        """The completion records of the selected evaluations."""
        if self._left_endpoints:
            # Where there is nothing to be done, Snakemake would end before its hooks delete them.
            self._workflow.dag.forcefiles.add(f"{self.run}/results.csv")
        return [self._record(evaluation) for evaluation in self.selected.values()]

    @cached_property
    def _left_endpoints(self) -> bool:
        """Whether an executor may have endpoints that an earlier start did not delete."""
        main = self._workflow is not None and self._workflow.is_main_process
        run = self._run
        return main and run.exists and any(e.leaves(run.directory) for e in of_run(run.directory))

    def missing(self, wildcards: object = None) -> list[str]:
        """The selected records that are not there yet."""
        return [record for record in self.records() if not Path(record).exists()]

    def _record(self, evaluation: Evaluation) -> str:
        return f"{self.run}/{evaluation.id}/evaluation.json"

    @property
    def fingerprint(self) -> Callable[[Wildcards], str]:
        """An evaluation's fingerprint: as a param it makes a changed definition stale."""

        def fingerprint(wildcards: Wildcards) -> str:
            return self[wildcards].fingerprint

        return signed(fingerprint)

    # --- what jobs need -------------------------------------------------------------------

    def resource(self, name: str) -> int | Callable[[Wildcards], int]:
        """What evaluations need of *name*: a number, or where they differ a function of wildcards.

        Snakemake calls each function once a job, which 10,000 jobs feel.
        """
        default = self._default(name)

        def needed(evaluation: Evaluation) -> int:
            own = evaluation.transport.resources.get(name)
            asked = self._allocations.asked(evaluation, name)
            # Where the whole allocation's time is said, none is added for what runs in it.
            return 0 if asked == 0 else own or asked or default

        amounts = {needed(evaluation) for evaluation in self.selected.values()}
        if len(amounts) == 1:
            return amounts.pop()
        return signed(lambda wildcards: needed(self[wildcards]))

    def _default(self, name: str) -> int:
        """What the profile's default-resources say: a resource that a rule sets hides them."""
        value = self._profiled(name)
        return int(value) if value else 0

    def _profiled(self, name: str) -> str | int | None:
        if self._workflow is None:
            return None
        default = self._workflow.resource_settings._parsed_default_resources.get(name)
        return None if default.is_evaluable() else default.value

    @property
    def site(self) -> dict[str, Any]:
        """The resources of an evaluation's job that ``execution`` asks the site's scheduler for."""
        of = self._allocations.site_of_evaluation
        return self._site(
            lambda: map(of, self.selected.values()), lambda wildcards: of(self[wildcards])
        )

    @property
    def site_of_deployments(self) -> dict[str, Any]:
        """The same for the jobs that deploy."""
        of = self._allocations.site_of_model
        return self._site(lambda: map(of, self._deployed), lambda wildcards: of(wildcards.model))

    def _site(
        self, everything: Callable[[], Iterable[Mapping[str, Any]]], asked: Lookup
    ) -> dict[str, Any]:
        """What jobs ask for, of which *everything* tells all and *asked* that of wildcards."""
        found: dict[str, Any] = {}
        names = self._allocations.asks
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

    # --- deployments ----------------------------------------------------------------------

    @property
    def servers(self) -> list[str] | Callable[[Wildcards], list[str]]:
        """The input of an evaluation of a deployed model: the records of what serves it.

        For a finished evaluation they are ancient: a server that starts again makes it not stale.
        Only for a finished one: Snakemake passes over the ancient input's job altogether when
        the input is made anew, whatever it lacks itself (`DAG.update_needrun`: masked).
        """

        def records(wildcards: Wildcards) -> list[str]:
            from snakemake.io import ancient

            evaluation = self[wildcards]
            servers = self._allocations.servers(evaluation)
            paths = [
                f"{self.run}/{name}/{directory(number)}/deployment.json" for name, number in servers
            ]
            if self._workflow is not None:
                if not self._workflow.is_main_process:
                    # A Snakemake within an allocation does not inherit it (snakemake issue 2508).
                    # Here, for while the Snakefile is read there are no such settings yet.
                    self._workflow.execution_settings.keep_going = True
                # Those are of servers that may have ended long ago.
                needed = (p for s, p in zip(servers, paths, strict=True) if s in self._needed)
                self._workflow.dag.forcefiles.update(needed)
            return paths if self._is_missing(evaluation) else [ancient(path) for path in paths]

        return signed(records) if self._deployed else []

    def _is_missing(self, evaluation: Evaluation) -> bool:
        record = self._record(evaluation)
        return record in self.stale or not Path(record).exists()

    @cached_property
    def _needed(self) -> frozenset[tuple[str, int]]:
        """Deployments, with their allocations, of which an evaluation is missing or stale."""
        return frozenset(
            server
            for evaluation in self.selected.values()
            if evaluation.transport.servers and self._is_missing(evaluation)
            for server in self._allocations.servers(evaluation)
        )

    @cached_property
    def _allocations(self) -> Allocations:
        workflow = self._workflow
        head = workflow is None or workflow.is_main_process
        return Allocations(
            self.config,
            self.selected,
            self._deployed,
            remote=self._remote,
            slots=workflow.resource_settings.cores or 1 if workflow is not None else 1,
            saved=self._run.directory / ".snakeval" / "allocations.json",
            head=head,
            missing=self._is_missing,
            busy=lambda: any(
                job.state.lives
                for executor in of_run(self._run.directory)
                for job in executor.jobs(self._run.directory).all()
            ),
        )

    @property
    def _remote(self) -> bool:
        """Whether jobs are submitted to a scheduler, or this is within such a job."""
        workflow = self._workflow
        if workflow is None:
            return False
        return not workflow.is_main_process or workflow.resource_settings.nodes is not None

    @property
    def _executor(self) -> Executor:
        """Where jobs run. Known from when the DAG is built, not while rules are read."""
        plugin = self._workflow.executor_plugin if self._workflow is not None else None
        return of_plugin(plugin.name) if plugin is not None else Executor()

    @property
    def deployment(self) -> str:
        """The pattern of the directories of deployments."""
        return DEPLOYMENT.pattern

    def gpus(self, wildcards: DeploymentWildcards) -> int:
        """How many GPUs the job that deploys a model needs."""
        return self._allocations.gpus(wildcards.model, number(wildcards.deployment))

    def mem_mb(self, wildcards: DeploymentWildcards) -> int:
        """How much memory the job that deploys a model needs, in MiB."""
        needed = self._allocations.mem_mb(wildcards.model, number(wildcards.deployment))
        return needed or self._default("mem_mb")

    def runtime(self, wildcards: DeploymentWildcards) -> int:
        """How long the job that deploys a model may last with all that follows, in minutes."""
        return self._allocations.runtime(wildcards.model) or self._default("runtime")

    def allocation(self, wildcards: Any) -> str | None:
        """The group of a job: a model's server and its evaluations are one job of a scheduler."""
        if not self._executor.groups:
            return None  # a deployed model is no job there, and each evaluation is one
        if hasattr(wildcards, "benchmark"):
            return self._allocations.group(self[wildcards])
        return self._allocations.group_of(wildcards.model, number(wildcards.deployment))

    # --- the order ------------------------------------------------------------------------

    @property
    def priority(self) -> int | Callable[[Wildcards], int]:
        """Evaluations of one model together, in the models' order, and long ones first.

        So a deployed model is loaded once. A number where there is nothing to order by.
        """
        if not self._deployed and not self._durations:
            return 0
        return signed(lambda wildcards: self._priorities[wildcards.model, wildcards.benchmark])

    def deploy_priority(self, wildcards: DeploymentWildcards) -> int:
        """A model's server before its evaluations, after the evaluations of models before it.

        An auxiliary model's server, which several models' evaluations may wait for, comes first.
        """
        return self._server_priorities.get(wildcards.model, 2 * len(self._priorities) + 1)

    @cached_property
    def _server_priorities(self) -> dict[str, int]:
        # In rising order, so that the last one of a model stays.
        rising = sorted(self._priorities.items(), key=lambda item: item[1])
        return {model: priority + 1 for (model, _), priority in rising}

    @cached_property
    def _durations(self) -> Durations:
        return Durations.load()

    @cached_property
    def _priorities(self) -> dict[tuple[str, str], int]:
        models = {model: number for number, model in enumerate(self.config.models)}
        order = sorted(
            self.selected,
            key=lambda key: (models[key[0]], -(self._durations.expect(self.selected[key]) or 0)),
        )
        # Steps of two, so that a model's server finds room above its own evaluations.
        return {key: 2 * position + 1 for position, key in enumerate(reversed(order))}

    @property
    def plan(self) -> str:
        """A digest of what the table shows: a dropped benchmark changes it, too.

        And where samples stand, of which intervals are made.
        """
        shown = sorted([e.id, e.fingerprint] for e in self.everything)
        samples = {e.id: e.transport.samples for e in self.everything if e.transport.samples}
        return digest([shown, self._reasons(), *([samples] if samples else [])])

    @property
    def parsers(self) -> str:
        """Versions of parsers and statistics: a better one makes the table again, nothing else."""
        used = sorted({evaluation.identity.adapter for evaluation in self.everything})
        versions = {**parser_versions(used), "intervals": INTERVALS_VERSION}
        return json.dumps(versions, sort_keys=True)

    def _reasons(self) -> list[list[str]]:
        return [[item.model, item.benchmark, item.reason] for item in self.left_out]

    # --- exports --------------------------------------------------------------------------

    @property
    def exports(self) -> list[str]:
        """The note of the exports, where the configuration names destinations."""
        return [f"{self.run}/export/delivered.json"] if self.config.export else []

    @property
    def destinations(self) -> str:
        """The section ``export``: another one exports again, and nothing else."""
        return canonical_json(self.config.export)

    @property
    def undelivered(self) -> list[str] | Callable[[object], list[str]]:
        """The input of the rule that exports: no file, but what did not arrive is sent again."""
        if not (self.exports and self._workflow is not None and self._workflow.is_main_process):
            return []
        from snakeval.exporters.note import undelivered

        if not undelivered(self._run.directory):
            return []

        def force(wildcards: object) -> list[str]:
            self._workflow.dag.forcefiles.update(self.exports)
            return []

        return signed(force)

    # --- before anything runs -------------------------------------------------------------

    def check(self, environment: Mapping[str, str] = os.environ) -> None:
        """Refuse what would fail later: an unset variable, an output directory without room.

        Raises:
            ConfigError: one line a problem.
        """
        problems = []
        for evaluation in self.selected.values():
            transport = evaluation.transport
            where = f"models.{evaluation.model}.endpoint.api_key_name"
            if transport.api_key_name and not environment.get(transport.api_key_name):
                problems.append(f"{where}: ${transport.api_key_name} is not set; export it")
            for name in transport.env.values():
                if name not in environment:
                    problems.append(
                        f"benchmarks.{evaluation.benchmark}.env: ${name} is not set; export it"
                    )
            for asked, name in transport.auxiliary_keys.items():
                if not environment.get(name):
                    key = f"auxiliary.{asked}.endpoint.api_key_name"
                    problems.append(f"{key}: ${name} is not set; export it")
        if self.config.export:
            from snakeval.exporters import configured

            try:
                configured(self.config.export)
            except ConfigError as error:
                problems += str(error).splitlines()
        problem = why_no_room(self._run.directory)
        if problem:
            problems.append(f"output_dir: {problem}")
        chosen = {name for e in self.selected.values() for name in e.transport.servers}
        for model, deployment in self._deployed.items():
            for name in deployment.serving.env.values() if model in chosen else ():
                if name not in environment:
                    section = "models" if model in self.config.models else "auxiliary"
                    problems.append(
                        f"{section}.{model}.deployment.env: ${name} is not set; export it"
                    )
        if problems:
            raise ConfigError("\n".join(dict.fromkeys(problems)))

    @cached_property
    def stale(self) -> frozenset[str]:
        """Records of another definition than the configuration's."""
        if not self._run.exists or self._workflow is None or not self._workflow.is_main_process:
            return frozenset()
        stale = set()
        for evaluation in self.selected.values():
            directory = evaluation_directory(self._run.directory, evaluation)
            done = directory.record(evaluation.fingerprint).exists()
            if not done and directory.published.exists():
                stale.add(self._record(evaluation))
        return frozenset(stale)

    @property
    def forced(self) -> list[str] | Callable[[Wildcards], list[str]]:
        """The input of an evaluation: no file, but it makes Snakemake run a stale one again.

        Snakemake itself sees a changed definition only while it has its metadata; without, it
        would take the old record for the new result (it says "Rules with missing metadata"). An
        input function is called for just the jobs of the DAG, before it is decided which run.
        """

        def force_if_stale(wildcards: Wildcards) -> list[str]:
            record = self._record(self[wildcards])
            if record in self.stale:
                self._workflow.dag.forcefiles.add(record)
            return []

        return signed(force_if_stale) if self.stale else []

    def notes(self) -> list[str]:
        """Sentences for the person who plans or starts the run."""
        state = "continues" if self._run.exists else "new"
        many = f"{len(self.selected)} evaluation" + "s" * (len(self.selected) != 1)
        lines = [f"Run {self._run.id} ({state}): {many} in {self.run}"]
        reasons: Counter[str] = Counter(item.reason for item in self.left_out)
        lines += [f"Left out: {reason}" for reason in list(reasons)[:20]]
        if len(reasons) > 20:
            lines.append(f"Left out: {len(reasons) - 20} more pairs, as results.csv lists")
        changed = [e for e in self.selected.values() if self._record(e) in self.stale]
        lines += self._allocations.notes()
        for evaluation in changed[:20]:
            difference = changes_since(Path(self._record(evaluation)), evaluation)
            lines.append(f"Changed: {evaluation.id} ({difference})")
        return lines

    # --- at the start, in the head only ---------------------------------------------------

    def save(self) -> None:
        """Write what the jobs read and what people run by hand: only what changed.

        Raises:
            SystemExit: the run cannot start; the message says why.
        """
        from snakeval.dag.on_start import Start

        try:
            Start(
                self._run,
                self.config,
                self.everything,
                self.left_out,
                self._deployed,
                self._allocations,
                remote=self._remote,
                executor=self._executor,
            ).write()
        except (ConfigError, EvaluationError) as error:
            raise SystemExit(f"snakeval: {error}") from None
        except OSError as error:
            raise SystemExit(
                f"snakeval: {error.filename or self.run} cannot be written ({error.strerror}); "
                "correct output_dir or free some space"
            ) from None

    # --- at the end -----------------------------------------------------------------------

    def report(self) -> None:
        """Stop the models' servers, print the results table and say where the report is."""
        from snakeval.dag.on_end import End

        End(
            self._run,
            self.everything,
            self.selected,
            self.records(),
            self._deployed,
            self._allocations,
            self.exports,
            executor=self._executor,
        ).tell()
