"""What the directory of a run holds from its start: for jobs, and for people by hand."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from snakeval import __version__, executors
from snakeval.config import compose
from snakeval.dag.by_hand import Served, run_all_script, run_script, sbatch_script, serve_script
from snakeval.dag.invocation import Invocation
from snakeval.errors import ConfigError, EvaluationError
from snakeval.evaluation.directory import evaluation_directory
from snakeval.executors.base import Executor, Intent
from snakeval.files import home, write_atomically, write_if_changed
from snakeval.jobs.container import container, installable
from snakeval.matrix.allocations import Allocations
from snakeval.run.directory import RunDirectory
from snakeval.run.heads import enter
from snakeval.run.index import Entry, remember
from snakeval.run.plan import Planned, write_plan
from snakeval.runtimes import Runtime, choose
from snakeval.serving.container import container as server_container
from snakeval.serving.container import installed
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.plan import Plan

#: Where models are served by hand, one port after the other.
_BY_HAND_PORT = 8000


@dataclass(frozen=True, slots=True)
class Start:
    """A run that begins, or goes on; ``remote``: a scheduler or a cloud has its jobs."""

    invocation: Invocation
    allocations: Allocations
    remote: bool
    executor: Executor

    def write(self) -> None:
        """Write only what changed, and note that this process works at the run.

        Raises:
            ConfigError: the executor lacks something, as it says itself.
            EvaluationError: nothing that is here runs a container.
            OSError: it cannot be written.
        """
        self._check_executor()
        run = self.invocation.directory
        run.mkdir(parents=True, exist_ok=True)
        identity = {
            "id": self.invocation.run.id,
            "identity": self.invocation.run.identity,
            "snakeval": __version__,
        }
        if not (run / ".snakeval" / "run.json").exists():
            write_atomically(run / ".snakeval" / "run.json", json.dumps(identity, indent=1))
        remember(
            Entry(
                self.invocation.run.id,
                self.invocation.config.name,
                str(run.resolve()),
                str(Path.cwd()),
                tuple(sys.argv),
                __version__,
            )
        )
        enter(run, sys.argv)
        executors.note(run, self.executor)
        self.executor.open(run)
        resolved = self._resolved()
        write_if_changed(run / "config.yaml", resolved)
        write_if_changed(home() / "run_configs" / f"{self.invocation.run.id}.yaml", resolved)
        write_plan(
            run / ".snakeval" / "plan.json",
            [Planned(e.model, e.benchmark, e.fingerprint) for e in self.invocation.everything]
            + [Planned(o.model, o.benchmark, left_out=o.reason) for o in self.invocation.left_out],
        )
        self.allocations.save()
        by_hand = self._write_deployments(run)
        self._write_batch_scripts(run)
        write_if_changed(
            run / "run_all.sh", run_all_script(run, self.invocation.everything), mode=0o755
        )
        runtimes: dict[tuple[str, str], Runtime] = {}
        for evaluation in self.invocation.everything:
            directory = evaluation_directory(run, evaluation)
            text = evaluation.to_json()
            if directory.spec.exists() and directory.spec.read_text(encoding="utf-8") == text:
                continue
            key = (evaluation.transport.runtime, evaluation.identity.image)
            if key not in runtimes:
                runtimes[key], why = self._runtime(*key, installable(evaluation))
                print(f"{evaluation.identity.image or 'commands'}: {why}", file=sys.stderr)
            runtime = runtimes[key]
            spec = container(evaluation, directory, runtime, run.name, by_hand)
            script = run_script(evaluation, directory, spec, runtime)
            write_if_changed(directory.path / "run.sh", script, mode=0o755)
            # Last, so that the next start makes what a failure above kept from being made.
            write_if_changed(directory.spec, text)

    def _check_executor(self) -> None:
        intent = Intent(self.invocation.config, starting=True)
        wrong = [check for check in self.executor.checks(intent) if check.state == "wrong"]
        if wrong:
            raise ConfigError("\n".join(f"{c.what}: {c.found}; {c.to_do}" for c in wrong))

    def _runtime(self, wanted: str, image: str, installable: bool) -> tuple[Runtime, str]:
        """Return what starts an image here, or what the executor has in its place."""
        try:
            return choose(wanted, image, installable)
        except EvaluationError:
            if (elsewhere := self.executor.runtime()) is None:
                raise
            return elsewhere, f"runs on {self.executor.title}"

    def _write_deployments(self, run: Path) -> dict[str, str]:
        """Write what is deployed for which evaluations; return URLs to serve at by hand."""
        plans: dict[str, list[tuple[str, str]]] = {name: [] for name in self.invocation.deployed}
        for evaluation in self.invocation.everything:
            for name in evaluation.transport.servers:
                plans[name].append((evaluation.id, evaluation.fingerprint))
        urls = {}
        for rank, (name, deployment) in enumerate(self.invocation.deployed.items()):
            port = deployment.serving.port or _BY_HAND_PORT + rank
            urls[name] = deployment.route_url(port)
            plan = Plan(name, rank, deployment, tuple(plans[name]))
            directory = DeploymentDirectory.of(RunDirectory(run), name)
            if directory.defines(plan):
                continue
            serving = deployment.serving
            runtime, _ = self._runtime(
                serving.runtime, deployment.definition.image, installed(deployment, os.environ)
            )
            gpu_ids = serving.gpu_ids or tuple(str(number) for number in range(serving.gpus))
            spec = server_container(deployment, runtime, port, gpu_ids)
            if serving.nodes == 1:  # on several it is started by snakeval alone
                script = serve_script(name, port, spec, runtime)
                directory.write_script(script)
            directory.define(plan)
        return urls

    def _write_batch_scripts(self, run: Path) -> None:
        """Write the scripts that a person can hand to sbatch, where Slurm is in play."""
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
            write_if_changed(run / f"sbatch_{model}.sh", script, mode=0o755)

    def _resolved(self) -> str:
        """The configuration as it was understood. It holds names of keys, never keys."""
        run, config = self.invocation.run, self.invocation.config
        return f"# Run {run.id}, resolved by snakeval {__version__}\n{compose.text(config)}"
