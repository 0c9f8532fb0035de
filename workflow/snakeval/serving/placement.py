"""Places servers on nodes and GPUs, and explains why they do not fit."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from snakeval.errors import EvaluationError
from snakeval.run.directory import RunDirectory
from snakeval.serving import gpus
from snakeval.serving.deployment import Serving
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.group import Group
from snakeval.serving.nodes import Place, Room, here, names
from snakeval.serving.plan import Plan
from snakeval.serving.pool_client import Account, Client
from snakeval.serving.server import Server


@dataclass(frozen=True, slots=True)
class Fitting:
    """The places of servers, in the order of the request, and a harness's own GPUs."""

    places: list[tuple[Place, ...]]
    harness: tuple[str, ...] = ()


def fit(
    plans: Sequence[Plan],
    beside: Iterable[Server | Group],
    environ: Mapping[str, str],
    *,
    harness: int = 0,
    taken: Sequence[Place] = (),
    closed: Collection[str] = (),
) -> Fitting | None:
    """Return the places of *plans* and of a harness's own GPUs; None if not all of it fits.

    The servers *beside* stay, GPUs of other harnesses are *taken*, and *closed* are those that
    processes outside the pool hold.
    """
    neighbours = list(beside)
    occupied = [*taken, *(place for server in neighbours for place in server.places)]
    room = Room(occupied, environ, closed)
    ports = {server.port for server in neighbours}
    found = {}
    # Those that name their GPUs choose first, and then those that need several nodes.
    for plan in sorted(plans, key=_hard_to_place):
        serving = plan.deployment.serving
        places = room.place(serving)
        if places is None or (serving.port and serving.port in ports):
            return None
        ports.add(serving.port)
        found[id(plan)] = places
    own = room.take(harness)
    if own is None:
        return None
    return Fitting([found[id(plan)] for plan in plans], own)


def _names(places: Iterable[Place], environ: Mapping[str, str]) -> set[str]:
    """Return the physical GPUs of this machine among *places*."""
    ids = {id_ for place in places if place.is_here for id_ in place.gpu_ids}
    return set(gpus.physical(ids, environ).values())


def closed(own: Iterable[Place], environ: Mapping[str, str]) -> set[str]:
    """Return the physical GPUs that processes outside the pool hold, which has *own* places."""
    every = set(gpus.physical(gpus.slots(environ), environ).values())
    return gpus.locked(every - _names(own, environ))


def lock_all(
    wanted: Sequence[Sequence[Place]], environ: Mapping[str, str]
) -> list[gpus.Locks] | None:
    """Lock the GPUs of each group of places, or none of them."""
    found: list[gpus.Locks] = []
    for places in wanted:
        locks = gpus.lock(_names(places, environ))
        if locks is None:
            for each in found:
                each.release()
            return None
        found.append(locks)
    return found


def _hard_to_place(plan: Plan) -> tuple[bool, int]:
    return not plan.deployment.serving.gpu_ids, -plan.deployment.serving.nodes


def impossible(client: Client) -> str:
    """Say why the client's servers could not be placed here even if all were empty."""
    try:
        if fit(client.plans, (), client.environ, harness=client.harness_gpus) is not None:
            return ""
        hosts = names()
    except EvaluationError as error:
        return str(error)
    order = gpus.slots(client.environ)
    servings = {plan.name: plan.deployment.serving for plan in client.plans}
    most = max(servings, key=lambda name: servings[name].nodes, default="")
    nodes = servings[most].nodes if most else 1
    if nodes > len(hosts) or (nodes > 1 and not here()):
        found = f"the Slurm job has {len(hosts)}" if here() else "this is no Slurm job"
        return (
            f"{most} needs {nodes} nodes, and {found}; use --profile slurm with so "
            "many, or lower `nodes`"
        )
    wanted = {name: serving for name, serving in servings.items() if serving.gpus}
    parts = [f"{name} {_asked(serving)}" for name, serving in wanted.items()]
    parts += [f"the harness {client.gpus} of its own"] * bool(client.harness_gpus)
    asked = ", ".join(parts)
    if not parts:
        return "its servers ask for the same port; leave out `port` for free ones"
    return (
        f"GPUs that are not there: {asked}, and this machine has {len(order)}"
        f"{' (' + ','.join(order) + ')' if order else ''}"
        f"{f', as each of {len(hosts)} nodes' if len(hosts) > 1 else ''}; lower `gpus`, or say how "
        "many there are with --resources gpu=N"
    )


def _asked(serving: Serving) -> str:
    which = "the GPUs " + ",".join(serving.gpu_ids) if serving.gpu_ids else str(serving.gpus)
    each = f" on {serving.nodes} nodes" if serving.nodes > 1 else ""
    return f"{which}{each}{f' x {serving.instances}' if serving.instances > 1 else ''}"


def leaves_room(client: Client, missing: Sequence[Plan], account: Account) -> bool:
    """Whether an eager start leaves room for what its run deploys before it.

    The first model is then loaded first, in whatever order the jobs start.
    """
    rank = min(plan.rank for plan in client.plans)
    before = [
        plan
        for plan in readable_plans(client.run)
        if plan.rank < rank
        and not {plan.deployment.id, plan.deployment.server_id} & account.failures.keys()
        and to_do(client.run, plan) == "missing"
    ]
    shared = {plan.deployment.server_id for plan in missing if plan.deployment.serving.loading}
    if any(plan.deployment.server_id in shared for plan in before):
        return False  # it starts with the weights of the first one
    distinct = {plan.deployment.server_id: plan for plan in [*before, *missing]}
    return fit(list(distinct.values()), (), client.environ) is not None


def readable_plans(run: RunDirectory) -> Iterator[Plan]:
    """Yield the deployments of *run* whose plans can be read."""
    for directory in DeploymentDirectory.all(run):
        with contextlib.suppress(EvaluationError):
            yield directory.plan()


def sharing(run: RunDirectory, plan: Plan) -> list[str]:
    """Return the deployments of *run* that the server of *plan* serves as well.

    It stays for their evaluations, also for those that have not asked for it yet.
    """
    if plan.deployment.serving.loading is None:
        return []
    i = plan.deployment.server_id
    return [each.name for each in readable_plans(run) if each.deployment.server_id == i]


def to_do(run: RunDirectory, plan: Plan) -> str:
    """Return the remaining work of a plan, as a key of ``LINGER`` of the pool."""
    found = ""
    for evaluation, fingerprint in plan.evaluations:
        directory = run.evaluation(evaluation)
        if directory.why_incomplete(fingerprint) is not None:
            if not directory.has_failure():
                return "missing"
            found = "failed"
    return found
