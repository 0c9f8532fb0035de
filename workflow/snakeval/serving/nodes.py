"""The nodes of the Slurm job that the pool is in, and where on them a server goes."""

from __future__ import annotations

import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from snakeval.errors import EvaluationError
from snakeval.serving import gpus
from snakeval.serving.deployment import Serving

#: This machine, where it is no node of a job.
HERE = ""
_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Place:
    """The place of one instance: *hosts*, with the same GPUs of each.

    Without hosts, the place is this machine, which requires nothing of Slurm.
    """

    gpu_ids: tuple[str, ...]
    hosts: tuple[str, ...] = ()

    @property
    def is_here(self) -> bool:
        """Whether it has GPUs of this machine."""
        return not self.hosts or here() in self.hosts


def here() -> str:
    """The name of this node in its job."""
    return os.environ.get("SLURMD_NODENAME", HERE) if os.environ.get("SLURM_JOB_ID") else HERE


def names() -> tuple[str, ...]:
    """This machine first, and then the other nodes of its job in Slurm's order."""
    own = here()
    return (own, *(name for name in _of_the_job() if name != own)) if own else (HERE,)


@cache
def _of_the_job() -> tuple[str, ...]:
    # $SLURM_JOB_NODELIST has only those of the step in which this was started.
    job = os.environ["SLURM_JOB_ID"]
    listed = _slurm("squeue", "--noheader", "--job", job, "--format", "%N").strip()
    return tuple(_slurm("scontrol", "show", "hostnames", listed).split())


def addresses(hosts: Sequence[str]) -> tuple[str, ...]:
    """Return the addresses of nodes, as Slurm's configuration has them.

    Raises:
        EvaluationError: Slurm does not say.
    """
    said = _slurm("scontrol", "--oneliner", "show", "node", ",".join(hosts))
    found = dict(re.findall(r"NodeName=(\S+).*?NodeAddr=(\S+)", said))
    if missing := [host for host in hosts if host not in found]:
        raise EvaluationError(f"Slurm knows no address of {', '.join(missing)}; ask its keeper")
    return tuple(found[host] for host in hosts)


def _slurm(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise EvaluationError(f"{' '.join(words[:3])} fails: {said.strip()[-200:]}") from None
    return done.stdout


class Room:
    """The free GPUs of each host, while the pool places servers on them.

    GPUs have the ids of this machine: another node's are those that stand at the same places there.
    Two ids may mean one physical GPU. *closed* are physical GPUs of this machine that processes
    outside the pool hold.
    """

    def __init__(
        self, taken: Iterable[Place], environ: Mapping[str, str], closed: Collection[str] = ()
    ) -> None:
        self._environ = environ
        slots = gpus.slots(environ)
        named = gpus.physical(slots, environ)
        self._slot_of = {named[slot]: slot for slot in reversed(slots)}
        self._order = tuple(slot for slot in slots if self._slot_of[named[slot]] == slot)
        self._free: dict[str, set[str]] = defaultdict(lambda: set(self._order))
        self._free[here()] -= {self._slot_of[name] for name in closed if name in self._slot_of}
        for place in taken:
            self._take(place)

    def _take(self, place: Place) -> None:
        ids = set(self._slots(place.gpu_ids))
        for host in place.hosts or (here(),):
            self._free[host] -= ids

    def _slots(self, ids: Sequence[str]) -> tuple[str, ...]:
        """Return the ids of this room that mean the same GPUs as *ids*."""
        named = gpus.physical(ids, self._environ)
        return tuple(self._slot_of.get(named[id_], id_) for id_ in ids)

    def take(self, count: int) -> tuple[str, ...] | None:
        """Take *count* GPUs of this machine; None if there are too few."""
        chosen = gpus.pick(self._free[here()], self._order, count, ())
        if chosen:
            self._take(Place(chosen))
        return chosen

    def place(self, serving: Serving) -> tuple[Place, ...] | None:
        """Take room for all instances of a server; None if there is too little.

        Raises:
            EvaluationError: Slurm does not say which nodes there are.
        """
        # Most need this machine only, whatever Slurm says.
        hosts = (here(),) if serving.nodes == serving.instances == 1 else names()
        found = []
        for _ in range(serving.instances):
            place = (self._spread if serving.nodes > 1 else self._single)(serving, hosts)
            if place is None:
                return None
            self._take(place)
            found.append(place)
        return tuple(found)

    def _single(self, serving: Serving, hosts: Sequence[str]) -> Place | None:
        for host in hosts:
            chosen = self._pick(host, serving)
            if chosen is not None:
                return Place(chosen, () if host == here() else (host,))
        return None

    def _spread(self, serving: Serving, hosts: Sequence[str]) -> Place | None:
        for first in hosts:
            chosen = self._pick(first, serving)
            if chosen is None or first == HERE:
                continue
            others = [h for h in hosts if h != first and set(chosen) <= self._free[h]]
            if len(others) >= serving.nodes - 1:
                return Place(chosen, (first, *others[: serving.nodes - 1]))
        return None

    def _pick(self, host: str, serving: Serving) -> tuple[str, ...] | None:
        named = self._slots(serving.gpu_ids)
        return gpus.pick(self._free[host], self._order, serving.gpus, named)
