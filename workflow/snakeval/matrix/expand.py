"""Expands a configuration into evaluations: the only place where models meet benchmarks.

Pure: the same configuration gives the same evaluations in the same order, nothing is written.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

from snakeval import catalogue
from snakeval.config.config import Benchmark, Config, EndpointType, Model, Params
from snakeval.errors import ConfigError, EvaluationError, did_you_mean
from snakeval.evaluation.definition import TRANSPORT_PARAMS, Evaluation, Identity, Transport
from snakeval.harnesses import LOGS_ITEMS, Paths, command
from snakeval.serving.deployment import Deployment, check, resolve


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A pair that is not evaluated, and why."""

    model: str
    benchmark: str
    reason: str


class Resolved(NamedTuple):
    """Parameters after layering, and which layer set each (keys of ``extra`` are dotted)."""

    values: dict[str, Any]
    origins: dict[str, str]


def layer_params(layers: Mapping[str, Mapping[str, Any]]) -> Resolved:
    """Merge parameter layers, named from the weakest to the strongest.

    ``extra`` is merged key by key; any other value replaces the one below it.

    >>> layer_params({"run": {"extra": {"a": 1, "b": 1}}, "benchmark": {"extra": {"b": 2}}})
    Resolved(values={'extra': {'a': 1, 'b': 2}}, origins={'extra.a': 'run', 'extra.b': 'benchmark'})
    """
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer, params in layers.items():
        _merge(values, params, origins, layer, "")
    return Resolved(values, origins)


def _merge(
    target: dict[str, Any], layer: Mapping[str, Any], origins: dict[str, str], name: str, above: str
) -> None:
    for key, value in layer.items():
        path = f"{above}{key}"
        if isinstance(value, Mapping) and (above or key == "extra"):
            below = target.get(key)
            target[key] = dict(below) if isinstance(below, dict) else {}
            _merge(target[key], value, origins, name, f"{path}.")
        else:
            target[key] = value
            origins[path] = name


def repeat_name(benchmark: str, number: int) -> str:
    """Return the name of a benchmark's repeat, counted from 1: ``gsm8k``, ``gsm8k-r2``, …"""
    return benchmark if number == 1 else f"{benchmark}-r{number}"


def expand(config: Config) -> tuple[Evaluation, ...]:
    """Return the evaluations of *config*, models in their order, benchmarks within a model.

    Raises:
        ConfigError: see :func:`split`.
    """
    return split(config)[0]


def split(config: Config) -> tuple[tuple[Evaluation, ...], tuple[LeftOut, ...]]:
    """Return the evaluations, and the pairs that no endpoint type allows.

    Excluded pairs are in neither.

    Raises:
        ConfigError: a benchmark names no task or an ambiguous one, a pair that was asked for by
            name is impossible, or nothing is left to evaluate.
    """
    evaluations: list[Evaluation] = []
    left_out: list[LeftOut] = []
    for item in _pairs(config):
        if isinstance(item, Evaluation):
            evaluations.append(item)
        else:
            left_out.append(item)
    if not evaluations:
        reasons = sorted({item.reason for item in left_out})
        raise ConfigError(
            "the matrix is empty: no model is left for any benchmark"
            + (f" ({'; '.join(reasons[:3])})" if reasons else "; check include and exclude")
        )
    return tuple(evaluations), tuple(left_out)


def _pairs(config: Config) -> Iterator[Evaluation | LeftOut]:
    served = {name: _Served.of(name, model, config) for name, model in config.models.items()}
    auxiliary = {name: _Served.of(name, model, config) for name, model in config.auxiliary.items()}
    rows = [
        _Row(config, name, spec, auxiliary, number)
        for name, spec in config.benchmarks.items()
        for number in range(1, spec.repeats + 1)
    ]
    _refuse_unknown_pairs(config)
    explicit = {(pair.model, pair.benchmark) for pair in config.include if pair.explicit}
    for model_name, model in config.models.items():
        for row in rows:
            name = row.benchmark  # repeats are included and excluded together
            if config.include and not _matches(config, "include", model_name, name):
                continue
            if config.exclude and _matches(config, "exclude", model_name, name):
                continue
            kind = model.type
            if kind in row.endpoint_types:
                evaluation = row.evaluation(model_name, served[model_name])
                row.check(evaluation)
                yield evaluation
                continue
            reason = (
                f"benchmark {name} needs a {' or '.join(row.endpoint_types)} endpoint, "
                f"model {model_name} has a {kind} endpoint"
            )
            if (model_name, name) in explicit:
                raise ConfigError(f"include {model_name}/{name}: {reason}; drop it from include")
            yield LeftOut(model_name, row.name, reason)


def _matches(config: Config, field: str, model: str, benchmark: str) -> bool:
    return any(
        fnmatchcase(model, pair.model) and fnmatchcase(benchmark, pair.benchmark)
        for pair in getattr(config, field)
    )


def _refuse_unknown_pairs(config: Config) -> None:
    for field, pairs in (("include", config.include), ("exclude", config.exclude)):
        for pair in pairs:
            for kind, pattern, names in (
                ("model", pair.model, config.models),
                ("benchmark", pair.benchmark, config.benchmarks),
            ):
                if not any(fnmatchcase(name, pattern) for name in names):
                    raise ConfigError(
                        f"{field} {pair.model}/{pair.benchmark}: no {kind} '{pattern}'"
                        f"{did_you_mean(pattern, names) or '; correct or remove it'}"
                    )


def deployments(config: Config) -> dict[str, Deployment]:
    """Return what *config* deploys: its models, then the auxiliary models that benchmarks ask.

    Raises:
        ConfigError: the template of a command is wrong.
    """
    asked = {name for benchmark in config.benchmarks.values() for name in benchmark.auxiliary}
    models = {**config.models, **{n: m for n, m in config.auxiliary.items() if n in asked}}
    deployed = {
        name: resolve(name, model.deployment, config.network, config.runtime)
        for name, model in models.items()
        if model.deployment
    }
    for name, deployment in deployed.items():
        try:
            check(deployment)
        except EvaluationError as error:
            section = "models" if name in config.models else "auxiliary"
            raise ConfigError(f"{section}.{name}.deployment: {error}") from None
    return deployed


class _Served(NamedTuple):
    """How a model is asked, whether it is served by others or by us."""

    model_id: str
    endpoint_url: str
    endpoint_type: str
    api_key_name: str
    deployment: Mapping[str, Any]

    @classmethod
    def of(cls, name: str, model: Model, config: Config) -> _Served:
        if model.deployment:
            definition = resolve(name, model.deployment, config.network, config.runtime).definition
            return cls(
                definition.served_model_name,
                definition.path,
                definition.endpoint_type,
                "",
                asdict(definition),
            )
        endpoint = model.endpoint
        assert endpoint is not None, "the configuration has one or the other"
        key = endpoint.api_key_name or ""
        return cls(endpoint.model_id, endpoint.route_url, endpoint.type.value, key, {})

    @property
    def identity(self) -> dict[str, Any]:
        data = self._asdict()
        del data["api_key_name"]
        return data if self.deployment else {k: v for k, v in data.items() if k != "deployment"}


class _Row:
    """A benchmark with everything that does not depend on the model worked out once."""

    def __init__(
        self,
        config: Config,
        benchmark: str,
        spec: Benchmark,
        auxiliary: Mapping[str, _Served],
        number: int = 1,
    ) -> None:
        self.config, self.benchmark, self.spec = config, benchmark, spec
        self.number = number
        self.name = repeat_name(benchmark, number)
        if number > 1 and self.name in config.benchmarks:
            raise ConfigError(
                f"benchmarks.{benchmark}.repeats: '{self.name}' is a benchmark, too; rename that"
            )
        self.auxiliary = {name: auxiliary[name] for name in spec.auxiliary}
        self.asked = {name: model.identity for name, model in self.auxiliary.items()}
        self.asked_servers = tuple(n for n, model in self.auxiliary.items() if model.deployment)
        self.asked_keys = {n: m.api_key_name for n, m in self.auxiliary.items() if m.api_key_name}
        task, harness = self._catalogued()
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
            "run": _explicit(config.params),
            "benchmark": _explicit(spec.params),
        }
        self.resolved = self._resolve({})
        # Worked out once and shared by the row: a copy for each of 10,000 evaluations adds up.
        self.params = _score_params(self.resolved)
        self.resources = config.resources.model_dump() | spec.resources.model_dump(
            exclude_unset=True
        )
        self.mounts = tuple((m.source, m.target, m.read_only) for m in spec.mounts)
        self.files_digest = files_digest(Path(spec.files)) if spec.files else ""
        self.requirements = str(harness.requirements_file or "")
        if harness.adapter == "generic" and not (spec.command and spec.metrics):
            self._fail("a generic benchmark needs `command` and `metrics`; add them")
        if harness.adapter != "generic" and (spec.command or spec.metrics or spec.requirements):
            self._fail("`command`, `metrics` and `requirements` belong to harness: generic only")
        if spec.samples and harness.name not in LOGS_ITEMS:
            instead = "metrics.samples" if harness.adapter == "generic" else "no groups"
            self._fail(f"`samples` is of {' and '.join(LOGS_ITEMS)}; {harness.name} has {instead}")
        self.image = spec.image or harness.image
        if config.runtime not in ("auto", "process") and not self.image:
            self._fail(f"runtime {config.runtime} needs an image; add `image`, or runtime: process")
        if config.runtime == "process" and harness.adapter != "generic" and not self.requirements:
            self._fail(f"harness {harness.name} runs in its container only; set runtime: auto")
        self._checked: set[str] = set()
        # Where samples stand changes no score, so it is no part of the identity.
        found = spec.metrics.model_dump(mode="json") if spec.metrics else {}
        self.samples: dict[str, Any] = found.pop("samples", None) or {}
        if spec.samples:
            self.samples = spec.samples.model_dump(mode="json")
        self.metrics = found

    def _resolve(self, more: Mapping[str, Mapping[str, Any]]) -> Resolved:
        """Layer the parameters. A repeat has a seed of its own, the first one that of the others.

        So that more repeats of what is there already are all that runs.
        """
        layers = {**self.layers, **more}
        if self.number > 1:
            seed = layer_params(layers).values.get("seed")
            own = self.number if seed is None else seed + self.number - 1
            layers["repeat"] = {"seed": own}
        return layer_params(layers)

    def _fail(self, sentence: str) -> None:
        raise ConfigError(f"benchmarks.{self.benchmark}: {sentence}")

    def _catalogued(self) -> tuple[catalogue.Task | None, catalogue.Harness]:
        spec = self.spec
        wanted = spec.task or self.benchmark
        try:
            if not spec.harness:
                task = catalogue.find_task(wanted)
                return task, catalogue.find_harness(task.harness)
            # Where a harness is named, the task may be one's own, or one that we do not list.
            return (
                catalogue.task_of(spec.harness, wanted),
                catalogue.find_harness(spec.harness),
            )
        except ConfigError as error:
            raise ConfigError(f"benchmarks.{self.benchmark}: {error}") from None

    def _defaults(self, task: catalogue.Task | None) -> dict[str, Any]:
        """The catalogue's defaults, checked as strictly as a user's parameters."""
        return _explicit(Params.model_validate(task.params)) if task else {}

    def check(self, evaluation: Evaluation) -> None:
        """Refuse now what the adapter could make no command of later.

        Once for each type of endpoint: a template takes a millisecond.
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

    def evaluation(self, model_name: str, model: _Served) -> Evaluation:
        own = self.spec.per_model.get(model_name)
        resolved, params = self.resolved, self.params
        if own is not None:
            resolved = self._resolve({"benchmark on model": _explicit(own)})
            params = _score_params(resolved)
        values = resolved.values
        spec = self.spec
        return Evaluation(
            model_name,
            self.name,
            Identity(
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
            ),
            Transport(
                parallelism=values["parallelism"],
                request_timeout=values["request_timeout"],
                max_retries=values["max_retries"],
                api_key_name=model.api_key_name,
                env=spec.env,
                files=spec.files or "",
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
            ),
            resolved.origins,
        )


def _score_params(resolved: Resolved) -> dict[str, Any]:
    return {k: v for k, v in resolved.values.items() if k not in TRANSPORT_PARAMS}


def _explicit(params: Params) -> dict[str, Any]:
    """Return what was written, so that an explicit null overrides a default below it."""
    return params.model_dump(mode="json", exclude_unset=True)


def files_digest(directory: Path) -> str:
    """Return the SHA-256 over the names and contents of the files below *directory*.

    Hidden files and ``__pycache__`` are passed over: editors and interpreters leave them.
    """
    total = hashlib.sha256()
    for folder, folders, names in os.walk(directory):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and f != "__pycache__")
        for name in sorted(names):
            if name.startswith("."):
                continue
            path = Path(folder, name)
            try:
                content = path.read_bytes()
            except OSError as error:
                raise ConfigError(f"{path}: cannot be read ({error.strerror}); check it") from None
            relative = path.relative_to(directory).as_posix()
            total.update(f"{len(relative)}:{relative}:{len(content)}:".encode())
            total.update(content)
    return total.hexdigest()
