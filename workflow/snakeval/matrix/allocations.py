"""Decides which jobs share an allocation of the scheduler, and what each allocation requires.

A deployed model and its evaluations are one job of the scheduler, an *allocation* (in Snakemake, a
group). If ``execution.slurm`` sets limits, a model has several allocations, packed by the expected
durations of its evaluations (:mod:`snakeval.matrix.packing`). Evaluations of an endpoint are
separate jobs. On one machine nothing is grouped: the pool of servers shares it out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from snakeval.config.config import Config
from snakeval.evaluation.definition import Evaluation
from snakeval.matrix import packed as packing
from snakeval.matrix.durations import Durations
from snakeval.matrix.hosting import Hosting, host
from snakeval.matrix.packed import Packed, Packer
from snakeval.matrix.slurm_requests import SlurmRequests, sbatch_options
from snakeval.serving.deployment import Deployment


class Allocations:
    """The allocations of a run.

    Attributes:
        remote: whether jobs go to a scheduler; on one machine nothing is grouped or packed.
        slots: how many evaluations run side by side in an allocation.
        saved: the file that passes the head's packing to jobs on other hosts.
        newest: the packing of the run's last start, if that is another file.
        head: whether this process packs; others read.
        missing: whether an evaluation still has to run.
        busy: whether jobs of an earlier head still run, whose allocations must not change.
    """

    def __init__(
        self,
        config: Config,
        selected: Mapping[tuple[str, str], Evaluation],
        deployed: Mapping[str, Deployment],
        *,
        remote: bool,
        slots: int,
        saved: Path,
        newest: Path | None = None,
        head: bool,
        missing: Callable[[Evaluation], bool],
        busy: Callable[[], bool],
    ) -> None:
        self._selected, self._deployed = selected, deployed
        self.slots, self._remote, self._head = max(slots, 1), remote, head
        self.saved, self._newest = saved, newest or saved
        self._missing, self._busy = missing, busy
        self.requests = SlurmRequests(config, deployed, remote=remote)
        self._hosting = Hosting(selected.values(), deployed, self.slots)

    # --- which job is in which allocation --------------------------------------------------

    def servers(self, evaluation: Evaluation) -> list[tuple[str, int]]:
        """The deployments whose jobs come before *evaluation*'s: name and allocation.

        Snakemake joins only connected jobs in a group. The evaluations of checkpoints that share
        a server wait for one job there, which requests the allocation.
        """
        servers = evaluation.transport.servers
        if not self._remote:
            return [(name, 1) for name in servers]
        return [(self.lead(name), self._number(name, evaluation)) for name in servers[:1]]

    def lead(self, name: str) -> str:
        """The deployment whose job requests the allocations of *name*."""
        return self._hosting.lead(name)

    def group(self, evaluation: Evaluation) -> str | None:
        """The group of *evaluation*'s job."""
        name = host(evaluation)
        return self.group_of(name, self._number(name, evaluation)) if name else None

    def group_of(self, name: str, number: int) -> str:
        """The group of the allocation *number* of the deployment *name*.

        Checkpoints that share a server are in one group.
        """
        name = self._hosting.lead(name)
        return name if number == 1 else f"{name}.{number}"

    def _number(self, name: str, evaluation: Evaluation) -> int:
        packed = self.packed.get(self._hosting.lead(name))
        return packed.numbers.get(evaluation.id, 1) if packed else 1

    def _members(self, name: str, number: int) -> list[Evaluation]:
        hosted = self._hosting.hosted.get(self._hosting.lead(name), ())
        return [e for e in hosted if self._number(name, e) == number]

    # --- requirements of a job --------------------------------------------------------------

    def gpus(self, name: str, number: int) -> int:
        """The GPUs of the job that deploys *name*: of all servers that its evaluations ask."""
        if not self._remote:
            return self._deployed[name].serving.gpus_on_host
        if "gres" in self.requests.site_of_model(name):
            return 0  # `gres` requests them
        return self._hosting.total_gpus(name, self._members(name, number))

    def mem_mb(self, name: str, number: int) -> int | None:
        """The memory of the job that deploys *name*: the servers' and the evaluations'."""
        if not self._remote:
            return self._deployed[name].serving.mem_mb
        asked = self.requests.of_model(name).mem_mb
        members = self._members(name, number)
        servers = {self._hosting.lead(s) for e in members for s in e.transport.servers}
        servers |= {self._hosting.lead(name)}
        return asked or self._hosting.mem_mb(servers, members) or None

    def runtime(self, name: str) -> int | None:
        """The minutes of the job that deploys *name* and of all that follows in it."""
        slurm = self.requests.of_model(name)
        return slurm.walltime or slurm.max_walltime_per_allocation if self._remote else None

    def asked(self, evaluation: Evaluation, resource: str) -> int | None:
        """The mem_mb or runtime that ``execution`` sets for *evaluation*, if any.

        The runtime is 0 if the job that deploys requests the time of the whole allocation.
        """
        if not self._remote or resource not in ("mem_mb", "runtime"):
            return None
        if name := host(evaluation):
            return 0 if resource == "runtime" and self.runtime(name) else None
        asked = self.requests.of_evaluation(evaluation)
        return asked.mem_mb if resource == "mem_mb" else asked.walltime

    def by_hand(self) -> dict[str, tuple[list[Evaluation], tuple[str, ...], dict[str, Any]]]:
        """The evaluations, servers and options of sbatch of each model's ``sbatch_*.sh``."""
        hosting, requests = self._hosting, self.requests
        found = {}
        for model in dict.fromkeys(evaluation.model for evaluation in self._selected.values()):
            members = [e for e in self._selected.values() if e.model == model]
            servers = tuple(dict.fromkeys(s for e in members for s in e.transport.servers))
            if any(self._deployed[server].serving.nodes > 1 for server in servers):
                continue  # only snakeval starts a server on each node
            options = sbatch_options(
                requests.of_model(servers[0]) if servers else requests.of_evaluation(members[0]),
                gpus=hosting.total_gpus(servers[0], members)
                if servers
                else hosting.beside(members, "gpus", 1),
                cpus=min(self.slots, len(members)) if servers else None,
                mem_mb=hosting.mem_mb(servers, members) or None,
            )
            found[model] = (members, servers, options)
        return found

    # --- packing --------------------------------------------------------------------------

    @cached_property
    def packed(self) -> dict[str, Packed]:
        """How each deployed model's evaluations are packed; nothing without limits."""
        if not self._remote:
            return {}
        if not self._head:
            return packing.read(self.saved) or packing.read(self._newest)
        before = packing.read(self._newest)
        packer = Packer(self.slots, Durations.load(), self._missing, self._busy)
        return {
            name: packer.pack(
                slurm,
                self._deployed[name],
                members,
                self._hosting.total_gpus(name, members),
                before.get(name),
            )
            for name, members in self._hosting.hosted.items()
            if packing.is_packed(slurm := self.requests.of_model(name))
        }

    def save(self) -> None:
        """Write the packing for the jobs on other hosts."""
        for file in (self.saved, self._newest):
            if self.packed or file.exists():
                packing.write(file, self.packed)
