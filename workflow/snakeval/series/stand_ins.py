"""Finds checkpoints of equal weights, of which one stands for the others: it alone is evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from snakeval.config.benchmarks import Benchmark
from snakeval.config.member_names import name_of, series_of, step_of
from snakeval.config.models import Model
from snakeval.run.checkpoints import Seen
from snakeval.series.look import Looked, is_unchanged, member_of


def without_stand_ins(models: Mapping[str, Model], before: Mapping[str, Seen]) -> dict[str, Model]:
    """Return the models that are checkpoints.

    A configuration that a head saved may have a second model at the path of a checkpoint: the one
    that stands for its weights, since it had begun to evaluate them (:func:`with_stand_ins`).
    """
    found: dict[str, Model] = {}
    by_path: dict[str, str] = {}
    for name, model in models.items():
        if model.member is None:
            continue
        path = model.member.path
        other = by_path.setdefault(path, name)
        if other != name:
            is_mine = (mine := before.get(name)) is not None and mine.path == path
            name, loser = (name, other) if is_mine else (other, name)
            found.pop(loser, None)
            by_path[path] = name
            model = models[name]
        found[name] = model
    return found


def elected(
    before: Mapping[str, Seen], looked: Mapping[str, Looked]
) -> tuple[dict[str, Seen], dict[str, str]]:
    """Return *before* with other stand-ins for the steps whose stand-in has other weights now.

    Also return the models that take its results over, with the model whose results they were.
    """
    changed = [
        name
        for name, each in looked.items()
        if each.digest and name in before and before[name].digest != each.digest
    ]
    after, heirs = dict(before), {}
    for old in changed:
        equal = [
            name
            for name, each in before.items()
            if each.same_as == step_of(old)
            and (series_of(name), each.digest) == (series_of(old), before[old].digest)
            and name not in changed
        ]
        if equal:
            heir, *others = sorted(equal, key=lambda name: before[name].gone)
            heirs[heir] = old
            after[heir] = replace(before[heir], same_as="")
            after |= {n: replace(before[n], same_as=step_of(heir)) for n in others}
    return after, heirs


def same_as(before: Mapping[str, Seen], looked: Mapping[str, Looked]) -> dict[str, str]:
    """Return the model that stands for the weights of each model of *looked* that is not the first.

    A model keeps its stand-in while both have equal weights.
    """
    digests = {name: each.digest for name, each in before.items()}
    digests |= {name: each.digest for name, each in looked.items()}
    own = [n for n, each in before.items() if each.digest == digests[n] and not each.same_as]
    stands = {(series_of(n), digests[n]): n for n in reversed(own) if digests[n]}
    found: dict[str, str] = {}
    for name, each in looked.items():
        if not each.digest:
            continue
        was = before.get(name)
        if was is not None and was.digest == each.digest:
            kept = name_of(series_of(name), was.same_as) if was.same_as else name
            if kept == name or (kept in own and digests[kept] == each.digest):
                found |= {name: kept} if kept != name else {}
                continue
        first = stands.setdefault((series_of(name), each.digest), name)
        if first != name:
            found[name] = first
    return found


def former(before: Seen | None, digest: str) -> tuple[str, ...]:
    """Return the former contents of a checkpoint that has the weights *digest* now."""
    if before is None or before.digest == digest:
        return before.former if before is not None else ()
    mine = (before.digest,) if before.digest and not before.same_as else ()
    return (*(each for each in before.former if each not in (digest, *mine)), *mine)


def takers(
    before: Mapping[str, Seen], looked: Mapping[str, Looked], same_as: Mapping[str, str]
) -> dict[str, str]:
    """Return the models of *looked* whose weights another one had formerly, with that one."""
    found = {}
    for name, each in looked.items():
        was = before.get(name)
        is_new = was is None or was.digest != each.digest or bool(was.same_as)
        if is_new and each.digest and name not in same_as:
            had = (
                other
                for other, seen in before.items()
                if each.digest in seen.former
                and (series_of(other), other != name) == (series_of(name), True)
            )
            if other := next(had, None):
                found[name] = other
    return found


def with_stand_ins(
    models: Mapping[str, Model],
    members: Mapping[str, Model],
    stand_ins: Mapping[str, str],
    before: Mapping[str, Seen],
    looked: Mapping[str, Looked],
) -> tuple[dict[str, Model], dict[str, Looked]]:
    """Return the models and the weights with those of *stand_ins*, which the command did not plan.

    A stand-in keeps its directory. If its checkpoint is gone, its server loads equal weights from
    the path of the model that it stands for.
    """
    weights = dict(looked)
    made: dict[str, tuple[str, Model]] = {}
    for other, name in stand_ins.items():
        was, own, equal = before[other], members.get(other), members[name]
        weights[other] = looked[name]
        if own is not None and is_unchanged(was.path, was.stat):
            weights[other] = Looked(was.path, was.digest, was.stat)
        else:
            member = member_of(equal).model_copy(update={"values": dict(was.values)})
            own = equal.model_copy(update={"member": member})
        made[name] = other, own
    found: dict[str, Model] = {}
    for name, model in models.items():  # a stand-in starts when the model that it is for would
        if name in made:
            found |= [made[name]]
        if name not in stand_ins:
            found[name] = model
    return found, weights


def with_params(benchmark: Benchmark, stand_ins: Mapping[str, str]) -> Benchmark:
    """Return a benchmark whose stand-ins have the parameters of the models they stand for."""
    own = benchmark.per_model
    more = {other: own[name] for other, name in stand_ins.items() if name in own}
    if not more:
        return benchmark
    return benchmark.model_copy(update={"per_model": {**own, **more}})
