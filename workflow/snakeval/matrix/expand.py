"""Expands a configuration into evaluations: the only place where models meet benchmarks.

Pure: the same configuration gives the same evaluations in the same order. Writes nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from functools import cache
from urllib.parse import urlsplit

from snakeval.config.config import Config, Pair
from snakeval.errors import ConfigError, EvaluationError, did_you_mean
from snakeval.evaluation.definition import Evaluation
from snakeval.matrix.facts import LOCAL_ONLY, NOTHING, Facts
from snakeval.matrix.row import Row, catalogued, image_of
from snakeval.matrix.served import Served
from snakeval.serving.container import check
from snakeval.serving.deployment import Deployment
from snakeval.serving.resolve import image_of as image_of_deployment


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A pair that is not evaluated, and why."""

    model: str
    benchmark: str
    reason: str


def expand(config: Config, facts: Facts = NOTHING) -> tuple[Evaluation, ...]:
    """Return the evaluations of *config*, models in their order, benchmarks within a model.

    Raises:
        ConfigError: see :func:`split`.
    """
    return split(config, facts)[0]


def split(
    config: Config, facts: Facts = NOTHING
) -> tuple[tuple[Evaluation, ...], tuple[LeftOut, ...]]:
    """Return the evaluations, and the pairs that no endpoint type allows.

    Excluded pairs are in neither.

    Raises:
        ConfigError: a benchmark has no task or an ambiguous one, an explicit pair is impossible,
            or nothing is left to evaluate.
    """
    evaluations: list[Evaluation] = []
    left_out: list[LeftOut] = []
    for item in _pairs(config, facts):
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
    return tuple(_with_rivals(evaluations)), tuple(left_out)


def _with_rivals(evaluations: Sequence[Evaluation]) -> Iterator[Evaluation]:
    """Yield the evaluations. Those that share an endpoint's limit know how many may ask it."""
    if not any(map(_shares, evaluations)):
        yield from evaluations
        return
    asking = Counter(map(_asked, evaluations))
    for evaluation in evaluations:
        if _shares(evaluation):
            transport = replace(evaluation.transport, rivals=asking[_asked(evaluation)])
            evaluation = replace(evaluation, transport=transport)
        yield evaluation


def _shares(evaluation: Evaluation) -> bool:
    transport = evaluation.transport
    return transport.is_adaptive or evaluation.model in transport.limits


def _asked(evaluation: Evaluation) -> str:
    """Identify the endpoint that an evaluation asks: its server, or the model that is served."""
    identity = evaluation.identity
    return evaluation.model if identity.deployment else urlsplit(identity.endpoint_url).netloc


def _pairs(config: Config, facts: Facts) -> Iterator[Evaluation | LeftOut]:
    if facts.starts:
        announce(config, facts)
    served = {name: Served.of(name, model, config, facts) for name, model in config.models.items()}
    auxiliary = {n: Served.of(n, model, config, facts) for n, model in config.auxiliary.items()}
    rows = [
        Row(config, name, spec, auxiliary, number, facts)
        for name, spec in config.benchmarks.items()
        for number in range(1, spec.repeats + 1)
    ]
    _refuse_unknown_pairs(config)
    include, exclude = (_Chosen(pairs, config.models) for pairs in (config.include, config.exclude))
    for model_name, model in config.models.items():
        for row in rows:
            name = row.benchmark  # repeats are included and excluded together
            if config.include and not include.has(model_name, name):
                continue
            if exclude.has(model_name, name):
                continue
            kind = model.type
            if kind in row.endpoint_types:
                evaluation = row.evaluation(model_name, served[model_name])
                row.check(evaluation)
                yield evaluation
                continue
            # The digest of the table's plan contains this text; do not change it.
            reason = (
                f"benchmark {name} needs a {' or '.join(row.endpoint_types)} endpoint, "
                f"model {model_name} has a {kind} endpoint"
            )
            if (model_name, name) in include.explicit:
                raise ConfigError(f"include {model_name}/{name}: {reason}; drop it from include")
            yield LeftOut(model_name, row.name, reason)


class _Chosen:
    """The pairs of a list, which may have tens of thousands, of *models* and benchmarks."""

    def __init__(self, pairs: Sequence[Pair], models: Collection[str]) -> None:
        self.explicit = {(pair.model, pair.benchmark) for pair in pairs if pair.explicit}
        patterns: dict[str, set[str]] = {}
        for pair in pairs:
            if not pair.explicit:
                patterns.setdefault(pair.model, set()).add(pair.benchmark)
        self._benchmarks: dict[str, set[str]] = {}
        for pattern, benchmarks in patterns.items():
            for name in _fitting(pattern, models):
                self._benchmarks.setdefault(name, set()).update(benchmarks)

    def has(self, model: str, benchmark: str) -> bool:
        """Whether a pair is in the list."""
        patterns = self._benchmarks.get(model, ())
        return (
            (model, benchmark) in self.explicit
            or benchmark in patterns
            or any(_expression(pattern).match(benchmark) for pattern in patterns)
        )


@cache
def _expression(pattern: str) -> re.Pattern[str]:
    """Compile a shell pattern once; ``fnmatch`` forgets it after some others."""
    return re.compile(translate(pattern))


def _fitting(pattern: str, names: Collection[str]) -> Iterator[str]:
    """Yield the names that fit a pattern. No name has the characters of one."""
    if pattern in names:
        yield pattern
    else:
        yield from filter(_expression(pattern).match, names)


def _refuse_unknown_pairs(config: Config) -> None:
    for field, pairs in (("include", config.include), ("exclude", config.exclude)):
        for pair in pairs:
            for kind, pattern, names in (
                ("model", pair.model, config.models),
                ("benchmark", pair.benchmark, config.benchmarks),
            ):
                if not any(_fitting(pattern, names)):
                    raise ConfigError(
                        f"{field} {pair.model}/{pair.benchmark}: no {kind} '{pattern}'"
                        f"{did_you_mean(pattern, names) or '; correct or remove it'}"
                    )


def announce(config: Config, facts: Facts) -> None:
    """Announce the images and the models of *config*, so that a start resolves them at once.

    Raises:
        ConfigError: the catalogue lacks a task or a harness.
    """
    for name, benchmark in config.benchmarks.items():
        harness = catalogued(name, benchmark)[1]
        key, image = image_of(benchmark, harness)
        own = bool(harness.requirements_file or benchmark.requirements)
        facts.want_image(key, image, unused(config.runtime, own and config.runtime == "auto"))
    for model in (*config.models.values(), *config.auxiliary.values()):
        if (deployment := model.deployment) is None:
            continue
        runtime = deployment.runtime or config.runtime
        facts.want_image(*image_of_deployment(deployment), unused(runtime))
        facts.want_model(deployment.hf_model_handle or "")


def unused(runtime: str, installable: bool = False) -> str:
    """Return why no registry is asked for an image, or nothing."""
    if runtime == "process":
        return "runtime process starts no image"
    return "" if not installable else LOCAL_ONLY


def deployments(config: Config, facts: Facts = NOTHING) -> dict[str, Deployment]:
    """Return the deployments of *config*: its models, then auxiliary models of benchmarks.

    Raises:
        ConfigError: the template of a command is wrong.
    """
    asked = {name for benchmark in config.benchmarks.values() for name in benchmark.auxiliary}
    models = {**config.models, **{n: m for n, m in config.auxiliary.items() if n in asked}}
    deployed = {
        name: facts.deployment(name, model.deployment, config.network, config.runtime)[0]
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
