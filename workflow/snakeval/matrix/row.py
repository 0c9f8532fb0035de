"""One row of the matrix while it is expanded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from snakeval import catalogue
from snakeval.config.benchmarks import Benchmark, Params
from snakeval.config.config import Config
from snakeval.config.endpoints import EndpointType
from snakeval.errors import ConfigError, EvaluationError
from snakeval.evaluation.definition import TRANSPORT_PARAMS, Evaluation, Identity, Transport
from snakeval.harnesses import LOGS_ITEMS, command
from snakeval.harnesses.adapter import Paths
from snakeval.matrix.benchmark_files import files_digest
from snakeval.matrix.facts import NOTHING, Facts
from snakeval.matrix.health import health_of
from snakeval.matrix.ledger import paid_by, require_gateway, transport_of
from snakeval.matrix.params import Resolved, explicit, layer_params, score_params
from snakeval.matrix.served import Served
from snakeval.run.pins import key_of
from snakeval.runtimes import NEED_IMAGES


def repeat_name(benchmark: str, number: int) -> str:
    """Return the name of a benchmark's repeat, counted from 1: ``gsm8k``, ``gsm8k-r2``, …"""
    return benchmark if number == 1 else f"{benchmark}-r{number}"


def catalogued(name: str, spec: Benchmark) -> tuple[catalogue.Task | None, catalogue.Harness]:
    """Return the task and the harness of the benchmark *name*.

    Raises:
        ConfigError: the catalogue has none of that name.
    """
    wanted = spec.task or name
    try:
        if not spec.harness:
            task = catalogue.find_task(wanted)
            return task, catalogue.find_harness(task.harness)
        # A benchmark with a harness may have a task that is not in the catalogue.
        return catalogue.task_of(spec.harness, wanted), catalogue.find_harness(spec.harness)
    except ConfigError as error:
        raise ConfigError(f"benchmarks.{name}: {error}") from None


def image_of(spec: Benchmark, harness: catalogue.Harness) -> tuple[str, str]:
    """Return the key of a benchmark's image in the run's pins, and the image."""
    return key_of(spec.image, harness.name), spec.image or harness.image


class Row:
    """A benchmark, with everything that does not depend on the model computed once."""

    def __init__(
        self,
        config: Config,
        benchmark: str,
        spec: Benchmark,
        auxiliary: Mapping[str, Served],
        number: int = 1,
        facts: Facts = NOTHING,
    ) -> None:
        self.config, self.benchmark, self.spec = config, benchmark, spec
        self.number = number
        self.name = repeat_name(benchmark, number)
        if number > 1 and self.name in config.benchmarks:
            raise ConfigError(
                f"benchmarks.{benchmark}.repeats: '{self.name}' is also a benchmark; rename it"
            )
        self.auxiliary = {name: auxiliary[name] for name in spec.auxiliary}
        self.asked = {name: model.identity for name, model in self.auxiliary.items()}
        self.asked_servers = tuple(n for n, model in self.auxiliary.items() if model.deployment)
        self.asked_keys = {n: m.api_key_name for n, m in self.auxiliary.items() if m.api_key_name}
        self.inherited = {"keys": config.keys, "inherit": config.inherit}
        task, harness = catalogued(benchmark, spec)
        self.harness = harness
        self.task = task.name if task else (spec.task or benchmark)
        types = spec.endpoint_types or (
            tuple(EndpointType(kind) for kind in task.endpoint_types) if task else None
        )
        self.endpoint_types = types or (
            tuple(EndpointType)
            if harness.adapter == "generic"
            else (EndpointType.CHAT, EndpointType.COMPLETIONS)
        )
        self.layers: dict[str, Mapping[str, Any]] = {
            "default": {
                key: getattr(Params(), key) for key in (*sorted(TRANSPORT_PARAMS), "extra")
            },
            "catalogue": self._defaults(task),
            "run": explicit(config.params),
            "benchmark": explicit(spec.params),
        }
        self.resolved = self._resolve({})
        # Shared by the evaluations of the row: 10,000 copies would take time and memory.
        self.params = score_params(self.resolved)
        self.resources = config.resources.model_dump() | spec.resources.model_dump(
            exclude_unset=True
        )
        self.mounts = tuple((m.source, m.target, m.read_only) for m in spec.mounts)
        self.files_digest = files_digest(Path(spec.files)) if spec.files else ""
        self.files = facts.files(spec.files, self.files_digest) if spec.files else ""
        self.requirements = str(harness.requirements_file or "")
        pin = facts.image(*image_of(spec, harness))
        self.image, self.image_digest = pin.name, pin.digest
        self._check_harness()
        self._checked: set[str] = set()
        # The place of samples changes no score, so the identity does not include it.
        found = spec.metrics.model_dump(mode="json") if spec.metrics else {}
        self.samples: dict[str, Any] = found.pop("samples", None) or {}
        if spec.samples:
            self.samples = spec.samples.model_dump(mode="json")
        self.metrics = found

    def _check_harness(self) -> None:
        """Check that the harness can run this benchmark, and that the runtime can start it."""
        spec, harness, config = self.spec, self.harness, self.config
        if harness.adapter == "generic" and not (spec.command and spec.metrics):
            self._fail("a generic benchmark requires `command` and `metrics`; add them")
        if harness.adapter != "generic" and (spec.command or spec.metrics or spec.requirements):
            self._fail("`command`, `metrics` and `requirements` belong to harness: generic only")
        if spec.samples and harness.name not in LOGS_ITEMS:
            instead = "metrics.samples" if harness.adapter == "generic" else "no groups"
            self._fail(f"`samples` is of {' and '.join(LOGS_ITEMS)}; {harness.name} has {instead}")
        if config.runtime in NEED_IMAGES and not self.image:
            self._fail(
                f"runtime {config.runtime} requires an image; add `image`, or runtime: process"
            )
        if not self._runs_as_a_process:
            self._fail(f"harness {harness.name} runs in its container only; set runtime: auto")

    def _resolve(self, more: Mapping[str, Mapping[str, Any]]) -> Resolved:
        """Layer the parameters. Each further repeat has its own seed.

        The first repeat has the seed of a benchmark without repeats, so a higher number of
        repeats runs only the new ones.
        """
        layers = {**self.layers, **more}
        if self.number > 1:
            seed = layer_params(layers).values.get("seed")
            own = self.number if seed is None else seed + self.number - 1
            layers["repeat"] = {"seed": own}
        return layer_params(layers)

    @property
    def _runs_as_a_process(self) -> bool:
        """Whether ``runtime: process`` is not asked for, or has something to run."""
        own_command = self.harness.adapter == "generic" or not self.harness.image
        return self.config.runtime != "process" or own_command or bool(self.requirements)

    def _fail(self, sentence: str) -> None:
        raise ConfigError(f"benchmarks.{self.benchmark}: {sentence}")

    def _defaults(self, task: catalogue.Task | None) -> dict[str, Any]:
        """The catalogue's defaults, checked as strictly as a user's parameters."""
        return explicit(Params.model_validate(task.params)) if task else {}

    def check(self, evaluation: Evaluation) -> None:
        """Check now that the adapter can build the command of *evaluation*.

        Once for each type of endpoint, since a template takes a millisecond.
        """
        kind = evaluation.identity.endpoint_type
        if kind in self._checked and evaluation.model not in self.spec.per_model:
            return
        self._checked.add(kind)
        try:
            asked = {name: model.endpoint_url for name, model in self.auxiliary.items()}
            command(evaluation, Paths("results", "inputs", evaluation.identity.endpoint_url, asked))
        except EvaluationError as error:
            self._fail(str(error))

    def evaluation(self, model_name: str, model: Served) -> Evaluation:
        """Return the evaluation of this row on a model."""
        own = self.spec.per_model.get(model_name)
        resolved, params = self.resolved, self.params
        if own is not None:
            resolved = self._resolve({"benchmark on model": explicit(own)})
            params = score_params(resolved)
        values = resolved.values
        spec, asked = self.spec, {model_name: model, **self.auxiliary}
        modes = [self.config.ledger, spec.ledger or "", *(each.ledger for each in asked.values())]
        ledger = transport_of(values["parallelism"], modes, {n: m.limits for n, m in asked.items()})
        require_gateway(ledger["ledger"], f"models.{model_name}", model.request, model.endpoint_url)
        for name, each in self.auxiliary.items():
            require_gateway(ledger["ledger"], f"auxiliary.{name}", each.request, each.endpoint_url)
        ledger |= health_of(self.config, spec, model_name) | paid_by(self.config, asked)
        ledger |= {"tokenizer": model.tokenizer, **self.inherited}
        identity = Identity(
            harness=self.harness.name,
            adapter=self.harness.adapter,
            image=self.image,
            task=self.task,
            model_id=model.model_id,
            endpoint_url=model.endpoint_url,
            endpoint_type=model.endpoint_type,
            params=params,
            files_digest=self.files_digest,
            packages=spec.requirements,
            command=spec.command or "",
            metrics=self.metrics,
            deployment=model.deployment,
            auxiliary=self.asked,
            image_digest=self.image_digest,
            set_env=spec.set_env,
            request=model.request,
        )
        return Evaluation(
            model_name,
            self.name,
            identity,
            Transport(
                request_timeout=values["request_timeout"],
                max_retries=values["max_retries"],
                api_key_name=model.api_key_name,
                env=spec.env,
                files=self.files,
                mounts=self.mounts,
                requirements=self.requirements,
                runtime=self.config.runtime,
                network=self.config.network,
                resources=self.resources,
                servers=((model_name,) if model.deployment else ()) + self.asked_servers,
                auxiliary_keys=self.asked_keys,
                heartbeat=self.config.lease.heartbeat,
                stale=self.config.lease.stale,
                samples=self.samples,
                **ledger,
            ),
            resolved.origins,
            partial(self._in_format_1, identity, model),
        )

    def _in_format_1(self, identity: Identity, model: Served) -> Identity:
        """Return *identity* with the values that format 1 had."""
        files = self.spec.files
        return replace(
            identity,
            files_digest=files_digest(Path(files), follow=False) if files else "",
            deployment=model.in_format_1() if model.deployment else {},
            auxiliary={name: m.identity_in_format_1 for name, m in self.auxiliary.items()},
        )
