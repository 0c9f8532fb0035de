"""Decides what a command does about each checkpoint of its configuration, before it plans.

A configuration is loaded before its run is known. This module looks at the checkpoints again:
at the digest of their weights, and at what earlier heads of the run have seen. A checkpoint that
changes or disappears meanwhile is left out, and the command continues with the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from snakeval.config.config import Config
from snakeval.config.load import Selection
from snakeval.config.member_names import name_of, series_of, step_of
from snakeval.config.models import Model
from snakeval.errors import ConfigError
from snakeval.evaluation.definition import Evaluation
from snakeval.run.checkpoints import Seen
from snakeval.run.directory import RunDirectory
from snakeval.run.plan import Planned
from snakeval.series.expand import LeftOut
from snakeval.series.look import Looked, look, member_of
from snakeval.series.stand_ins import (
    elected,
    former,
    takers,
    with_params,
    with_stand_ins,
    without_stand_ins,
)
from snakeval.series.stand_ins import same_as as stand_ins_of

#: Why an unfinished evaluation of a checkpoint that is gone is in no plan.
LEFT_OUT_AS_GONE = "gone: its checkpoint was deleted"


@dataclass(frozen=True, slots=True)
class Settled:
    """The checkpoints of a command.

    Attributes:
        config: the configuration with all its models, which the run saves.
        planned: the names of the models whose evaluations the command plans.
        weights: of the planned models that are checkpoints.
        same_as: a planned model -> the model of equal weights, whose evaluations have its results.
        seen: the checkpoints that the command adds to ``series.json``, by the names of their
            models.
        gone: the checkpoints of earlier heads that are gone.
        heirs: a model -> the model whose results it takes over, since that one had the same
            weights and its checkpoint was overwritten.
        before: the checkpoints that earlier heads have seen.
        kept: the models whose rows of the run's earlier plan stay, since this command does not
            plan them.
        left_out: checkpoints of the configuration that the command does not plan, and why.
    """

    config: Config
    planned: frozenset[str]
    weights: Mapping[str, Looked] = field(default_factory=dict)
    same_as: Mapping[str, str] = field(default_factory=dict)
    seen: Mapping[str, Seen] = field(default_factory=dict)
    gone: tuple[str, ...] = ()
    heirs: Mapping[str, str] = field(default_factory=dict)
    before: Mapping[str, Seen] = field(default_factory=dict)
    kept: frozenset[str] = frozenset()
    left_out: tuple[LeftOut, ...] = ()

    def with_stand_ins(self, selection: Selection) -> Selection:
        """Return what a command chose, with the models that stand for those that it chose."""
        if not self.same_as or selection.models is None:
            return selection
        more = [self.same_as[name] for name in selection.models if name in self.same_as]
        chosen = tuple(dict.fromkeys([*selection.models, *more]))
        return selection.model_copy(update={"models": chosen})

    @property
    def plans(self) -> Config:
        """The configuration with the planned models only."""
        models = self.config.models
        if self.planned.issuperset(models):
            return self.config
        chosen = {name: model for name, model in models.items() if name in self.planned}
        return self.config.model_copy(update={"models": chosen})

    def shared(
        self, evaluations: Sequence[Evaluation]
    ) -> tuple[tuple[Evaluation, ...], tuple[Planned, ...]]:
        """Return the evaluations that run, and the points whose results are those of others."""
        if not self.same_as:
            return tuple(evaluations), ()
        there = {each.id: each.fingerprint for each in evaluations}
        points = {
            each.id: Planned(each.model, each.benchmark, each.fingerprint, same_as=other)
            for each in evaluations
            if (other := self.same_as.get(each.model))
            and there.get(f"{other}/{each.benchmark}") == each.fingerprint
        }
        return tuple(each for each in evaluations if each.id not in points), tuple(points.values())

    def rows(self, run: RunDirectory) -> tuple[Planned, ...]:
        """Return the rows of the run's plan that stay, of models that the command does not plan."""
        rows = []
        for item in _plan_of(run) if self.kept else ():
            if item.model not in self.kept or not self._has(item.benchmark):
                continue
            done = item.fingerprint and run.evaluation(item.source).completion(item.fingerprint)
            if item.model in self.gone and not done:
                item = Planned(item.model, item.benchmark, left_out=LEFT_OUT_AS_GONE)
            elif item.same_as and (seen := self.seen.get(item.model)) is not None:
                other = name_of(series_of(item.model), seen.same_as) if seen.same_as else ""
                item = replace(item, same_as=other)
            rows.append(item)
        return tuple(rows)

    def merged(self, planned: Sequence[Planned], run: RunDirectory) -> tuple[Planned, ...]:
        """Return the plan of the command with the rows that other commands have added meanwhile."""
        own = [item for item in planned if item.model not in self.kept]
        ids = {item.id for item in own}
        later = [item for item in self._later(run) if item.id not in ids]
        return (*own, *self.rows(run), *later)

    def _later(self, run: RunDirectory) -> Iterator[Planned]:
        """Yield the rows of checkpoints that were not ready when this command began."""
        series = self.config.series
        for item in _plan_of(run):
            of = series_of(item.model)
            is_mine = of and (series is None or (of in series and item.model not in series[of]))
            if is_mine and item.model not in self.planned | self.kept and self._has(item.benchmark):
                yield item

    def _has(self, benchmark: str) -> bool:
        return self.config.base(benchmark) in self.config.benchmarks

    def note(self, run: RunDirectory) -> None:
        """Add the checkpoints to the ``series.json`` of *run*.

        Raises:
            ConfigError: another command evaluates equal weights since this one has planned.
            OSError: the file cannot be written.
        """
        if self.seen:
            run.update_series(self._added)

    def _added(self, there: dict[str, Seen]) -> Mapping[str, Seen]:
        for model, mine in self.seen.items():
            for other, theirs in there.items():
                is_known = other in self.seen or self.before.get(other) == theirs
                stands = _stands_for(theirs, mine) and not is_known
                if stands and series_of(other) == series_of(model) and not mine.same_as:
                    raise ConfigError(
                        f"{model}: another command evaluates equal weights as {other}",
                        hint="run the same command again",
                    )
        return {**there, **self.seen}


def _plan_of(run: RunDirectory) -> tuple[Planned, ...]:
    try:
        return run.plan() if run.exists else ()
    except ConfigError:
        return ()  # nothing is planned yet


def _stands_for(theirs: Seen, mine: Seen) -> bool:
    return bool(mine.digest) and theirs.digest == mine.digest and not theirs.same_as


def nothing(config: Config, plan: Iterable[Planned] = ()) -> Settled:
    """Return the models of a configuration without a look at any checkpoint.

    *plan* is the one that the command saved, if it has one.
    """
    same_as = {item.model: item.same_as for item in plan if item.same_as}
    return Settled(config, frozenset(config.models), same_as=same_as)


def settle(
    config: Config,
    run: RunDirectory,
    chosen: Iterable[str] | None = None,
    *,
    starts: bool = False,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.time,
) -> Settled:
    """Return what a command on *run*, which may not exist yet, does about its checkpoints.

    *chosen* are the names of the models that the command chose. Only a command that *starts* reads
    weights, and only those of models that it plans.

    Raises:
        ConfigError: no model is left.
    """
    before = run.read_series() if run.exists else {}
    members = without_stand_ins(config.models, before)
    if not members and not before:
        return nothing(config)
    names = None if chosen is None else frozenset(chosen)
    wanted = {n: m for n, m in members.items() if names is None or n in names}
    looked, left_out = look(wanted, before, starts=starts, sleep=sleep, clock=clock)
    planned = [n for n, m in config.models.items() if not m.member or n in looked]
    if not (frozenset(planned) if names is None else names.intersection(planned)):
        reasons = "; ".join(map(str, left_out[:3]))
        raise ConfigError(f"no checkpoint is left{f' ({reasons})' if reasons else ''}")
    there, (before, heirs) = before, elected(before, looked)
    known = _known(config, members, before)
    gone = [n for n, each in before.items() if n in known and _is_gone(n, each, config, starts)]
    gone = [n for n in gone if n not in looked]
    same_as = stand_ins_of(before, looked)
    heirs = {**takers(before, looked, same_as), **heirs}
    now = clock()
    seen = {n: each for n, each in before.items() if each != there[n]}
    seen |= {n: _seen(wanted[n], each, before.get(n), now) for n, each in looked.items()}
    seen |= {n: replace(seen[n], same_as=step_of(other)) for n, other in same_as.items()}
    seen |= {n: replace(before[n], gone=True, missed=before[n].missed or now) for n in gone}
    stand_ins = {other: n for n, other in same_as.items() if other not in looked}
    models, weights = with_stand_ins(config.models, members, stand_ins, before, looked)
    if stand_ins:
        benchmarks = {n: with_params(b, stand_ins) for n, b in config.benchmarks.items()}
        config = config.model_copy(update={"models": models, "benchmarks": benchmarks})
    plans = frozenset([*planned, *stand_ins])
    return Settled(
        config,
        plans,
        weights,
        same_as,
        seen,
        tuple(gone),
        heirs=heirs,
        before=there,
        kept=known - plans,
        left_out=tuple(left_out),
    )


def _known(
    config: Config, members: Mapping[str, Model], before: Mapping[str, Seen]
) -> frozenset[str]:
    """Return the checkpoints that belong to the configuration: those of it and of earlier heads."""
    series = config.series
    if series is None:  # a saved configuration, of the run itself
        return frozenset([*members, *before])
    mine = [n for n in before if (of := series_of(n)) in series and n not in series[of]]
    return frozenset([*members, *mine])


def _is_gone(name: str, seen: Seen, config: Config, starts: bool) -> bool:
    """Whether a checkpoint that an earlier head has seen is not there any more."""
    if seen.stat:
        return not Path(seen.path).is_dir()
    if name in config.models:
        return False
    # A start asks the endpoint for its models, unless its configuration is a saved one.
    return seen.gone or (starts and config.series is not None)


def _seen(model: Model, looked: Looked, before: Seen | None, now: float) -> Seen:
    is_same = before is not None and before.digest == looked.digest
    since = before.seen if before is not None and is_same else now
    return Seen(
        looked.path,
        dict(member_of(model).values),
        looked.digest,
        looked.stat,
        since,
        former=former(before, looked.digest),
    )
