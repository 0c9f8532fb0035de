"""Decides which evaluations an allocation hosts, and how many GPUs and MiB its members require.

An evaluation of a deployed model runs in an allocation of that model. The allocation's servers and
its evaluations share the GPUs and the memory that are requested for it.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property

from snakeval.evaluation.definition import Evaluation
from snakeval.serving.deployment import Deployment


def host(evaluation: Evaluation) -> str | None:
    """Return the deployed model whose allocation runs *evaluation*, if any.

    The host is the evaluation's own model, or else the first auxiliary model that it asks. One job
    cannot be in several groups, so the evaluation starts its other servers in that allocation.
    """
    return next(iter(evaluation.transport.servers), None)


class Hosting:
    """The evaluations that each deployed model hosts, and what they require together.

    ``slots`` is the number of evaluations that run side by side in an allocation.
    """

    def __init__(
        self, selected: Collection[Evaluation], deployed: Mapping[str, Deployment], slots: int
    ) -> None:
        self._selected, self._deployed = selected, deployed
        self.slots = slots

    @cached_property
    def hosted(self) -> dict[str, list[Evaluation]]:
        """The evaluations of each host. Checkpoints that share a server have one host."""
        found: dict[str, list[Evaluation]] = {}
        for evaluation in self._selected:
            if name := host(evaluation):
                found.setdefault(self.lead(name), []).append(evaluation)
        return found

    def lead(self, name: str) -> str:
        """Return the deployment that stands for the server of *name*: mostly *name* itself.

        A job may know the deployments in another order than its head.
        """
        return self._leads.get(name, name)

    @cached_property
    def _leads(self) -> dict[str, str]:
        shared = {n: made.server_id for n, made in self._deployed.items() if made.serving.loading}
        first: dict[str, str] = {}
        for name, server in sorted(shared.items()):
            first.setdefault(server, name)
        return {name: first[server] for name, server in shared.items()}

    def total_gpus(self, name: str, members: Sequence[Evaluation]) -> int:
        """The GPUs of an allocation of *name*: its servers' and its evaluations'."""
        together = {e.transport.servers for e in members} or {(name,)}
        servers = max(sum(map(self._gpus_of, names)) for names in together)
        return servers + self.beside(members, "gpus", self.slots)

    def _gpus_of(self, name: str) -> int:
        serving = self._deployed[name].serving
        return serving.hosts * serving.gpus_on_host

    def mem_mb(self, servers: Collection[str], members: Sequence[Evaluation]) -> int:
        """The MiB that *servers* and *members* require together, as far as they are known."""
        known = sum(self._deployed[server].serving.mem_mb or 0 for server in servers)
        return known + self.beside(members, "mem_mb", self.slots if servers else 1)

    def beside(self, members: Iterable[Evaluation], resource: str, slots: int) -> int:
        """The most of *resource* that *slots* evaluations side by side require."""
        amounts = (evaluation.transport.resources.get(resource) or 0 for evaluation in members)
        return sum(heapq.nlargest(slots, amounts))
