"""Writes the files of a run at its start: for its jobs, and for people who run it by hand."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from snakeval import __version__, executors
from snakeval.config import compose
from snakeval.config.member_names import series_of
from snakeval.dag.by_hand import Served, run_all_script, run_script, sbatch_script, serve_script
from snakeval.dag.invocation import Invocation
from snakeval.dag.one_head import refuse_second_head
from snakeval.dag.preflight import refuse_other_definitions
from snakeval.errors import ConfigError, EvaluationError
from snakeval.evaluation.progress_lines import say
from snakeval.evaluation.takeover import take_over
from snakeval.executors.base import Executor, Intent
from snakeval.files import home, repair_damaged_state, write_if_changed
from snakeval.jobs.container import container, installable
from snakeval.lease import LeaseLost
from snakeval.matrix.allocations import Allocations
from snakeval.matrix.benchmark_files import take_snapshot
from snakeval.run.directory import RunDirectory
from snakeval.run.find import reserve
from snakeval.run.heads import enter, leave
from snakeval.run.index import Entry, remember
from snakeval.runtimes import Runtime, choose
from snakeval.serving.container import container as server_container
from snakeval.serving.container import installed
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.plan import Plan

#: The first port on which people serve models by hand; each further model has the next.
_BY_HAND_PORT = 8000


@dataclass(frozen=True, slots=True)
class Start:
    """A run that starts or continues.

    Attributes:
        remote: whether jobs go to a scheduler or a cloud.
    """

    invocation: Invocation
    allocations: Allocations
    remote: bool
    executor: Executor

    def write(self) -> None:
        """Write only what changed, and record that this process works at the run.

        Raises:
            ConfigError: a check of the executor fails.
            EvaluationError: no container runtime here can run an image.
            OSError: a file cannot be written.
        """
        repair_damaged_state()
        self._check_executor()
        run = self.invocation.directory
        self._begin(run)
        executors.note(run, self.executor)
        self.executor.open(run)
        self.invocation.facts.save()
        self._take_snapshots(run)
        self._write_plan(run)
        self._take_over(run)
        self.allocations.save()
        by_hand = self._write_deployments(run)
        self._write_batch_scripts(run)
        if (rescoring := self.invocation.rescoring) is not None:
            rescoring.bring(run, self.invocation.everything)
        self._write_evaluations(run, by_hand)

    def _begin(self, run: RunDirectory) -> None:
        """Start the run, note this process there, and add it to the index of this machine's runs.

        Raises:
            ConfigError: another command works at the run and defines an evaluation differently, or
                works at the same evaluations and would lose its jobs to this one, or an equal
                command starts another run.
        """
        if self.executor.one_head:
            refuse_second_head(self.invocation)
        whole, saved = self.invocation.run, self.invocation.saved
        # The command that claimed the run for equal ones may have ended without a start.
        if (other := reserve(whole)) is None:
            raise ConfigError("another command has started a run; run the same command again")
        if other != whole:
            raise ConfigError(f"an equal command starts run {other.id}; run the same command again")
        is_new = not saved.exists
        if (rescoring := self.invocation.rescoring) is not None:
            rescoring.note(run)  # before all else: without it, the run would ask its models
        run.write_lenders(self.invocation.lenders)  # the same
        # The index and the plan come before the directory's first other file: `status` finds them.
        remember(
            Entry(
                whole.id,
                self.invocation.config.name,
                str(run.absolute()),
                str(Path.cwd()),
                tuple(sys.argv),
                __version__,
            )
        )
        saved.save(
            self._config_text,
            self.invocation.planned,
            self.invocation.everything,
            {name: made.as_dict() for name, made in self.invocation.deployed.items()},
        )
        if not run.was_started:
            self.invocation.facts.save()  # a copy that waits for the start compares with these pins
        whole.start(evaluation.id for evaluation in self.invocation.everything)
        chosen = self.invocation.selection
        enter(
            run,
            sys.argv,
            invocation=self.invocation.key,
            models=chosen.models or (),
            benchmarks=chosen.benchmarks or (),
        )
        try:
            refuse_other_definitions(self.invocation, entered=True)
            self.invocation.checkpoints.note(run)
            if self.executor.one_head:
                refuse_second_head(self.invocation, entered=True)
        except ConfigError:
            leave(run)
            if is_new:
                saved.remove()
            raise

    def _take_snapshots(self, run: RunDirectory) -> None:
        """Copy the files of the benchmarks, from which their evaluations run."""
        for digest, directory in self.invocation.facts.snapshots.items():
            take_snapshot(Path(directory), digest, run.snapshot(digest))

    def _write_plan(self, run: RunDirectory) -> None:
        """Write the configuration and the evaluations of the run."""
        # The configuration contains names of keys, never keys.
        run.write_config(self._config_text, __version__)
        saved = home() / "run_configs" / f"{self.invocation.run.id}.yaml"
        write_if_changed(saved, self._config_text)
        checkpoints, planned = self.invocation.checkpoints, self.invocation.planned
        if not (checkpoints.weights or checkpoints.kept):
            run.write_plan(planned)
            return
        with run.lock_series():  # heads of a series start at the same time
            run.write_plan(checkpoints.merged(planned, run))

    def _take_over(self, run: RunDirectory) -> None:
        """Give steps the results of equal ones whose checkpoint was overwritten.

        A step without them evaluates the weights itself.
        """
        for heir, old in self.invocation.checkpoints.heirs.items():
            for item in self.invocation.planned:
                if item.model != heir or item.same_as or not item.fingerprint:
                    continue
                source = run.evaluation(f"{old}/{item.benchmark}")
                try:
                    take_over(source, run.evaluation(item.id), item.fingerprint)
                except (OSError, LeaseLost) as error:
                    print(f"snakeval: {item.id}: no result of {old} ({error})", file=sys.stderr)

    @property
    def _config_text(self) -> str:
        text = compose.text(self.invocation.config)
        return f"# Run {self.invocation.run.id}, resolved by snakeval {__version__}\n{text}"

    def _write_evaluations(self, run: RunDirectory, by_hand: Mapping[str, str]) -> None:
        """Write the definition and the scripts of each evaluation.

        *by_hand* is the URL of each deployed model that a person serves.
        """
        everything = self.invocation.everything
        run.write_script(run_all_script(run, everything))
        runtimes: dict[tuple[str, str], Runtime] = {}
        whys: set[str] = set()
        for evaluation in everything:
            directory = run.evaluation(evaluation.id)
            if directory.defines(evaluation):
                continue
            directory.make_way()
            key = (evaluation.transport.runtime, evaluation.identity.image)
            if key not in runtimes:
                runtimes[key], why = self._runtime(*key, installable(evaluation))
                if why not in whys:
                    say(why)
                whys.add(why)
            runtime = runtimes[key]
            spec = container(evaluation, directory, runtime, run.name, by_hand)
            script = run_script(evaluation, directory, spec, runtime, by_hand)
            directory.write_script(script)
            # The definition is last: without it, the next start writes the script again.
            directory.define(evaluation)

    def _check_executor(self) -> None:
        """Run the executor's quick checks, before anything is written."""
        intent = Intent(self.invocation.config, starting=True)
        wrong = [check for check in self.executor.checks(intent) if check.state == "wrong"]
        if wrong:
            raise ConfigError("\n".join(f"{c.what}: {c.found}; {c.to_do}" for c in wrong))
        self._check_images()
        replays = self.invocation.rescoring is not None or self.invocation.selection.offline
        if replays and not self.executor.has_gateways:
            raise ConfigError(
                f"{self.executor.title} jobs may run without a gateway, so stored answers alone "
                "cannot answer; add --profile local"
            )

    def _check_images(self) -> None:
        """Check that a re-score with another image runs in it, and not as a process instead."""
        rescoring = self.invocation.rescoring
        for evaluation in self.invocation.selected.values():
            image, wanted = evaluation.identity.image, evaluation.transport.runtime
            if rescoring is None or self.remote or wanted != "auto" or not installable(evaluation):
                continue
            if image and image != rescoring.image(evaluation):
                runtime, why = choose(wanted, image, True)
                if not runtime.isolated:
                    raise ConfigError(f"{evaluation.id}: {image} would not run: {why}; pull it")

    def _runtime(self, wanted: str, image: str, installable: bool) -> tuple[Runtime, str]:
        """Return the runtime that starts an image here, or the executor's replacement."""
        elsewhere = self.executor.runtime()
        try:
            runtime, why = choose(wanted, image, installable)
        except EvaluationError:
            if elsewhere is None:
                raise
            runtime, why = elsewhere, ""
        # The runtime of this machine is only for the scripts that a person starts.
        return runtime, why if elsewhere is None else f"runs on {self.executor.title}"

    def _write_deployments(self, run: RunDirectory) -> dict[str, str]:
        """Write the plan of each deployment; return the URLs at which people serve them by hand."""
        plans: dict[str, list[tuple[str, str]]] = {name: [] for name in self.invocation.deployed}
        for evaluation in self.invocation.everything:
            for name in evaluation.transport.servers:
                plans[name].append((evaluation.id, evaluation.fingerprint))
        urls = {}
        for rank, (name, deployment) in enumerate(self.invocation.deployed.items()):
            port = deployment.serving.port or _BY_HAND_PORT + rank
            urls[name] = deployment.route_url(port)
            plan = Plan(name, rank, deployment, tuple(plans[name]))
            directory = DeploymentDirectory.of(run, name)
            if directory.defines(plan):
                continue
            serving = deployment.serving
            runtime, _ = self._runtime(
                serving.runtime, deployment.definition.image, installed(deployment, os.environ)
            )
            gpu_ids = serving.gpu_ids or tuple(str(number) for number in range(serving.gpus))
            try:
                spec = server_container(deployment, runtime, port, gpu_ids)
            except EvaluationError:
                if not series_of(name):
                    raise
                spec = None  # its checkpoint is gone, so its job fails, and no other one
            if spec is not None and serving.nodes == 1:  # only snakeval starts one on several
                script = serve_script(name, port, spec, runtime)
                directory.write_script(script)
            directory.define(plan)
        return urls

    def _write_batch_scripts(self, run: RunDirectory) -> None:
        """Write scripts that a person can submit with sbatch, if the run has to do with Slurm."""
        if not (self.remote or self.allocations.requests.configured):
            return
        ranks = list(self.invocation.deployed)
        for model, (members, names, asked) in self.allocations.by_hand().items():
            servers = [
                Served(
                    name,
                    serving.port or _BY_HAND_PORT + ranks.index(name),
                    serving.health_path,
                    serving.models_path,
                    serving.readiness_timeout,
                )
                for name in names
                for serving in [self.invocation.deployed[name].serving]
            ]
            script = sbatch_script(run, model, members, servers, asked, self.allocations.slots)
            run.write_batch_script(model, script)
