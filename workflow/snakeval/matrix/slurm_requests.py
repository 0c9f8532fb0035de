"""Layers the configuration into requests to Slurm."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from snakeval.config.config import Config
from snakeval.config.execution import Execution, Slurm
from snakeval.evaluation.definition import Evaluation
from snakeval.matrix import installed_requests
from snakeval.matrix.hosting import host
from snakeval.serving.deployment import Deployment

#: Keys of the configuration -> resources of Snakemake's Slurm executor
#: (https://snakemake.github.io/snakemake-plugin-catalog/plugins/executor/slurm.html).
RESOURCES: Mapping[str, str] = {
    "account": "slurm_account",
    "partition": "slurm_partition",
    "qos": "qos",
    "constraint": "constraint",
    "gres": "gres",
    "cpus_per_task": "cpus_per_task",
    "comment": "slurm_comment",
    "max_total_walltime": "max_total_runtime",
}
#: Every resource that a request can contain.
SITE = (*RESOURCES.values(), "slurm_extra", "nodes", "tasks_per_node")


def layered(*layers: Execution | None) -> Slurm:
    """Merge *layers* key by key; the last layer that sets a key wins."""
    merged: dict[str, Any] = {}
    for layer in layers:
        if layer is not None:
            merged |= {name: getattr(layer.slurm, name) for name in layer.slurm.model_fields_set}
    return Slurm.model_construct(**merged)


def resources(asked: Slurm, *, gpus: bool) -> dict[str, str | int]:
    """Return *asked* as resources of Snakemake, without those that it does not set.

    *gpus* is whether the job has any. ``walltime`` and ``mem_mb`` are left out: Snakemake has
    resources of its own for both, on every executor.
    """
    found = {resource: getattr(asked, key) for key, resource in RESOURCES.items()}
    if not gpus:
        found["slurm_partition"] = asked.cpu_partition or asked.partition
        found["gres"] = None
    extra = " ".join(
        ["--exclusive"] * asked.exclusive + [asked.extra_flags] * bool(asked.extra_flags)
    )
    found["slurm_extra"] = extra or None
    return {name: value for name, value in found.items() if value is not None}


def head_options(asked: Slurm) -> dict[str, str | int]:
    """Return options of sbatch for Snakemake itself: one CPU, in the partition without GPUs."""
    own = asked.model_copy(
        update={
            "walltime": asked.head_walltime,
            "max_walltime_per_allocation": None,
            "gres": None,
            "exclusive": False,
            "mem_mb": None,
            "cpus_per_task": None,
        }
    )
    return sbatch_options(own, gpus=0, cpus=None, mem_mb=None)


def sbatch_options(
    asked: Slurm, *, gpus: int, cpus: int | None, mem_mb: int | None
) -> dict[str, str | int]:
    """Return *asked* as long options of sbatch. A flag has an empty text; ``extra`` holds more.

    *gpus*, *cpus* and *mem_mb* (MiB) are the job's own, for keys that *asked* does not set.
    """
    partition = asked.partition if gpus else asked.cpu_partition or asked.partition
    options = {
        "account": asked.account,
        "partition": partition,
        "qos": asked.qos,
        "time": asked.walltime or asked.max_walltime_per_allocation,
        "constraint": asked.constraint,
        "comment": asked.comment,
        "exclusive": "" if asked.exclusive else None,
        "gres": asked.gres if gpus else None,
        "gpus": None if asked.gres or not gpus else gpus,
        "ntasks": 1,
        "cpus-per-task": asked.cpus_per_task or cpus,
        "mem": asked.mem_mb or mem_mb,
        "extra": asked.extra_flags or None,
    }
    return {name: value for name, value in options.items() if value is not None}


def flags(options: Mapping[str, str | int]) -> list[str]:
    """Return options of sbatch as flags of its command line."""
    return [
        str(value) if name == "extra" else f"--{name}={shlex.quote(str(value))}".removesuffix("=''")
        for name, value in options.items()
    ]


class SlurmRequests:
    """The requests of one run: for each deployed model's allocations, and for each evaluation.

    ``remote`` is whether jobs go to a scheduler.
    """

    def __init__(self, config: Config, deployed: Mapping[str, Deployment], *, remote: bool) -> None:
        self._config, self._deployed, self._remote = config, deployed, remote
        self._of_model: dict[str, Slurm] = {}
        self._of_evaluation: dict[tuple[str, str], Slurm] = {}

    def of_model(self, name: str) -> Slurm:
        """The request for the allocations of the deployment *name*."""
        if name not in self._of_model:
            model = self._config.models.get(name) or self._config.auxiliary[name]
            self._of_model[name] = layered(self._config.execution, model.execution)
        return self._of_model[name]

    def of_evaluation(self, evaluation: Evaluation) -> Slurm:
        """The request for *evaluation*; for its allocation if a deployed model hosts it."""
        if name := host(evaluation):
            return self.of_model(name)
        model = self._config.models[evaluation.model]
        benchmark = self._config.benchmarks[self._config.base(evaluation.benchmark)]
        own = evaluation.benchmark if benchmark.execution.slurm.model_fields_set else ""
        key = (evaluation.model, own)
        if key not in self._of_evaluation:
            self._of_evaluation[key] = layered(
                self._config.execution, model.execution, benchmark.execution if own else None
            )
        return self._of_evaluation[key]

    def site_of_model(self, name: str) -> dict[str, str | int]:
        """The scheduler's resources for the allocations of *name*.

        Several nodes have a task each, and their GPUs are requested by node, since Slurm spreads
        a total as it likes.
        """
        asked = resources(self.of_model(name), gpus=True)
        serving = self._deployed[name].serving
        if self._remote and serving.hosts > 1:
            asked |= {"nodes": serving.hosts, "tasks_per_node": 1}
            if serving.gpus_on_host:
                asked.setdefault("gres", f"gpu:{serving.gpus_on_host}")
        if self._has_installed:
            model = self._config.models.get(name) or self._config.auxiliary[name]
            asked |= installed_requests.resources(self._config.execution, model.execution)
        return asked

    def site_of_evaluation(self, evaluation: Evaluation) -> dict[str, str | int]:
        """The scheduler's resources for the job of *evaluation*.

        In a group Snakemake requires equal texts and adds up numbers. The job that deploys requests
        every number, so the evaluations of its group request none.
        """
        if name := host(evaluation):
            return {k: v for k, v in self.site_of_model(name).items() if isinstance(v, str)}
        gpus = bool(evaluation.transport.resources.get("gpus"))
        asked = resources(self.of_evaluation(evaluation), gpus=gpus)
        if self._has_installed:
            config = self._config
            model = config.models[evaluation.model]
            benchmark = config.benchmarks[config.base(evaluation.benchmark)]
            asked |= installed_requests.resources(
                config.execution, model.execution, benchmark.execution
            )
        return asked

    @cached_property
    def _has_installed(self) -> bool:
        """Whether the configuration has a section of an executor of another package."""
        return any(layer.installed for layer in self._layers)

    @property
    def names(self) -> tuple[str, ...]:
        """The resources that any job requests; the profile sets all others."""
        spread = any(deployment.serving.hosts > 1 for deployment in self._deployed.values())
        if not self.configured and not spread and not self._has_installed:
            return ()
        found: set[str] = set()
        for layer in self._layers:
            for gpus in (False, True):
                found |= resources(layered(layer), gpus=gpus).keys()
        for name in self._deployed:
            found |= self.site_of_model(name).keys()
        others = sorted(
            name
            for layer in self._layers
            for name in installed_requests.resources(layer).keys() - set(SITE)
        )
        return (*(name for name in SITE if name in found), *dict.fromkeys(others))

    @property
    def configured(self) -> bool:
        """Whether the configuration sets anything for Slurm."""
        return any(layer.slurm.model_fields_set for layer in self._layers)

    @property
    def _layers(self) -> list[Execution]:
        config = self._config
        models = [*config.models.values(), *config.auxiliary.values()]
        benchmarks = config.benchmarks.values()
        return [
            config.execution,
            *(m.execution for m in models),
            *(b.execution for b in benchmarks),
        ]
