"""Makes plain models of the series of a configuration, from the checkpoints that were found.

Pure: the same configuration and checkpoints give the same models, in the order of their start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fnmatch import fnmatchcase

from pydantic import ValidationError

from snakeval.config.benchmarks import Benchmark
from snakeval.config.checkpoints import (
    MARK,
    Checkpoints,
    Member,
    check_model_name,
    number,
    split,
)
from snakeval.config.config import Config, Pair
from snakeval.config.endpoints import Endpoint
from snakeval.config.members import expanded, with_members
from snakeval.config.models import Deployment, Model
from snakeval.config.types import Mount
from snakeval.errors import ConfigError
from snakeval.series.pattern import Found
from snakeval.series.ready import Judged

_ADAPTER = "is a LoRA adapter; add its base model to the deployment as checkpoint_path"
_NO_ADAPTER = "has weights of its own, but the deployment has a base model for adapters"
_NOT_ASKED = "a dry run asks its endpoint for models only with --check"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A checkpoint that was found, and what is known of it."""

    found: Found
    judged: Judged


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A checkpoint that is no model of the plan, and why."""

    series: str
    model: str
    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.model}: {self.reason} ({self.path})"


@dataclass(frozen=True, slots=True)
class Expanded:
    """A configuration whose models are plain.

    Attributes:
        left_out: the checkpoints that are no models, in the order of their names' values.
        models: the names of the models of each series.
    """

    config: Config
    left_out: tuple[LeftOut, ...] = ()
    models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def why_left_out(self) -> dict[str, str]:
        """Return why names are left out: those of checkpoints, and of series without a model."""
        reasons = {item.model: item.reason for item in self.left_out}
        empty = {
            name: "no checkpoint is ready" for name, models in self.models.items() if not models
        }
        return reasons | empty


def is_wanted(series: Checkpoints, found: Found) -> bool:
    """Whether ``every``, ``since`` and ``until`` keep a checkpoint, so that it is looked at."""
    return not series.left_out(dict(found.values))


def expand(config: Config, found: Mapping[str, Sequence[Candidate]]) -> Expanded:
    """Return *config* with a model for each ready checkpoint *found* of a series, by its name.

    A series that is not in *found* was not looked for.

    Raises:
        ConfigError: a value of a path fits no name, two checkpoints have one name, or no model is
            left.
    """
    models: dict[str, Model] = {}
    left_out: list[LeftOut] = []
    members: dict[str, tuple[str, ...]] = {}
    unwanted: dict[str, frozenset[str]] = {}
    for name, model in config.models.items():
        if model.checkpoints is None:
            models[name] = model
            continue
        unwanted[name] = _unwanted(name, model.checkpoints, found.get(name, ()))
        made, without = _series(name, model, model.checkpoints, found.get(name, ()))
        if name not in found:
            without = [LeftOut(name, f"{name}{MARK}*", model.checkpoints.pattern, _NOT_ASKED)]
        models |= made
        left_out += without
        members[name] = tuple(made)
    if not members:
        return Expanded(config)
    if not models:
        raise ConfigError(f"models: {_nothing(members, left_out)}")
    changes = {
        "models": models,
        "benchmarks": {n: _of_members(b, models) for n, b in config.benchmarks.items()},
        "include": _pairs("include", config.include, members, models),
        "exclude": _pairs("exclude", config.exclude, members, models),
    }
    if config.include and not changes["include"]:
        raise ConfigError(f"include: {_nothing(members, left_out)}")
    changes = {k: v for k, v in changes.items() if v != getattr(config, k)}
    return Expanded(expanded(config, changes, unwanted), tuple(left_out), members)


def _unwanted(name: str, series: Checkpoints, candidates: Sequence[Candidate]) -> frozenset[str]:
    """Return the names of the checkpoints that a series does not want."""
    found = (candidate.found for candidate in candidates)
    return frozenset(
        _member(name, series, each).name for each in found if not is_wanted(series, each)
    )


def _nothing(members: Mapping[str, object], left_out: Sequence[LeftOut]) -> str:
    some = "; ".join(str(item) for item in left_out[:3])
    return f"no checkpoint of {', '.join(members)} is ready{f' ({some})' if some else ''}"


def _series(
    name: str, model: Model, series: Checkpoints, candidates: Sequence[Candidate]
) -> tuple[dict[str, Model], list[LeftOut]]:
    """Return the models of a series, and its other checkpoints."""
    made: dict[str, tuple[Candidate, Member]] = {}
    left_out: list[LeftOut] = []
    paths: dict[str, str] = {}
    for candidate in candidates:
        found = candidate.found
        member = _member(name, series, found)
        other = paths.setdefault(member.name.casefold(), found.path)
        if other != found.path:
            raise ConfigError(
                f"{other} and {found.path} are both {member.name}, upper and lower case aside",
                where=f"models.{name}.checkpoints",
                hint="rename one, or change the pattern",
            )
        reason = series.left_out(dict(found.values)) or candidate.judged.why_not
        if not reason and model.deployment:
            reason = _why_unfit(candidate.judged.is_adapter, model.deployment)
        if reason:
            left_out.append(LeftOut(name, member.name, found.path, reason))
        else:
            member = member.model_copy(update={"stat": candidate.judged.stat})
            made[member.name] = candidate, member
    order = _order(series, [member for _, member in made.values()])
    return (
        {
            member.name: _plain(name, model, made[member.name][0].found.path, member)
            for member in order
        },
        left_out,
    )


def _why_unfit(is_adapter: bool, deployment: Deployment) -> str:
    """Return why a deployment cannot serve a checkpoint, or nothing."""
    has_base = bool(deployment.checkpoint_path or deployment.hf_model_handle)
    if is_adapter != has_base:
        return _ADAPTER if is_adapter else _NO_ADAPTER
    return ""


def _member(name: str, series: Checkpoints, found: Found) -> Member:
    """Return the place of a checkpoint in its series.

    Raises:
        ConfigError: its values fit no name.
    """
    values = {key: found.values[key] for key in series.wildcards}
    member = Member.model_construct(
        series=name, values=values, axis=series.axis, ready=series.ready, path=found.path
    )
    try:
        check_model_name(member.name)
    except ValueError as error:
        raise ConfigError(
            f"{found.path}: {error}",
            where=f"models.{name}.checkpoints.pattern",
            hint="rename it, or write a pattern that does not describe it",
        ) from None
    return member


def _order(series: Checkpoints, members: Sequence[Member]) -> list[Member]:
    """Return members in the order of their start: by the step, then by the other values."""
    keys = [series.axis, *(key for key in series.wildcards if key != series.axis)]
    is_number = {
        key: all(number(member.values[key]) is not None for member in members) for key in keys
    }

    def rank(member: Member, key: str) -> tuple[Decimal, str]:
        value = member.values[key]
        return (number(value) or Decimal(0) if is_number[key] else Decimal(0)), value

    others = sorted(members, key=lambda m: [rank(m, key) for key in keys[1:]])
    return sorted(others, key=lambda m: rank(m, series.axis), reverse=series.order == "newest")


def _plain(name: str, model: Model, path: str, member: Member) -> Model:
    """Return the model of one checkpoint.

    Raises:
        ConfigError: its path or its model id fits no deployment or endpoint.
    """
    given = model.deployment or model.endpoint
    assert given is not None, "a model has one"
    values = given.model_dump(exclude_unset=True)
    update: dict[str, object] = {"checkpoints": None, "member": member}
    try:
        if model.deployment:
            # The name of the server must not differ between steps: equal weights, equal answers.
            is_adapter = bool(model.deployment.checkpoint_path or model.deployment.hf_model_handle)
            served = {**values, "adapter_path" if is_adapter else "checkpoint_path": path}
            if is_adapter or model.deployment.swap:  # a container sees all that it may load
                served["mounts"] = (*model.deployment.mounts, _root(model.checkpoints))
            served["served_model_name"] = values.get("served_model_name") or name
            update["deployment"] = Deployment.model_validate(served)
        else:
            update["endpoint"] = Endpoint.model_validate({**values, "model_id": path})
    except ValidationError as error:
        raise ConfigError(
            f"{path}: {error.errors()[0]['msg']}", where=f"models.{name}.checkpoints.pattern"
        ) from None
    set_keys = model.model_fields_set - {"checkpoints"} | {"member"}
    made = model.model_copy(update=update)
    return Model.model_construct(set_keys, **{k: getattr(made, k) for k in Model.model_fields})


def _root(series: Checkpoints | None) -> Mount:
    """Return the mount of the directory that has all checkpoints of a series, at its own path."""
    assert series is not None, "only a series has checkpoints"
    directory = split(series.pattern)[0].rpartition("/")[0] or "/"
    return Mount(source=directory, target=directory, read_only=True)


def _of_members(benchmark: Benchmark, models: Mapping[str, Model]) -> Benchmark:
    """Return a benchmark whose parameters of a series are those of its models."""
    own = benchmark.per_model
    if all(name in models for name in own):
        return benchmark
    found = {
        member: params for name, params in own.items() for member in with_members([name], models)
    }
    kept = {name: params for name, params in {**found, **own}.items() if name in models}
    return benchmark.model_copy(update={"per_model": kept})


def _pairs(
    field: str,
    pairs: Iterable[Pair],
    members: Mapping[str, Sequence[str]],
    models: Mapping[str, Model],
) -> tuple[Pair, ...]:
    """Return pairs whose models are plain; those of checkpoints that are no models are dropped."""
    found = []
    for pair in pairs:
        if pair.model in members:
            pair = pair.model_copy(update={"model": f"{pair.model}{MARK}*"})
        fits = any(fnmatchcase(name, pair.model) for name in models)
        series = pair.model.partition(MARK)[0]
        if fits or not any(fnmatchcase(name, series) for name in members):
            found.append(pair)
    return tuple(found)
