"""Which jobs share an allocation of the scheduler, and what is asked for each.

A model that we serve and its evaluations are one job of the scheduler, an *allocation*: a group in
Snakemake's words. Where ``execution.slurm`` says so they are several, packed by what the
evaluations are expected to take (:mod:`snakeval.matrix.packing`). Evaluations of an endpoint are
jobs of their own. On one machine nothing is grouped: the pool of servers shares it out.
"""

from __future__ import annotations

import heapq
import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snakeval.config.config import Config
from snakeval.config.execution import PACKING, Execution, Slurm
from snakeval.dag.announce import hours_text, names_of_members
from snakeval.evaluation.definition import Evaluation, digest
from snakeval.files import write_if_changed
from snakeval.matrix import installed_requests
from snakeval.matrix.durations import Durations
from snakeval.matrix.packed import Packed
from snakeval.matrix.packing import Limits, pack, total_seconds
from snakeval.matrix.slurm_requests import SITE, layered, resources, sbatch_options
from snakeval.serving.deployment import Deployment

if TYPE_CHECKING:
    from snakeval.executors.base import Job


class Allocations:
    """The allocations of a run.

    Attributes:
        remote: whether jobs go to a scheduler; on one machine nothing is grouped or packed.
        slots: how many evaluations run side by side in an allocation.
        saved: the file that tells jobs on other hosts what the head packed.
        head: whether this process packs; others read.
        missing: tells of an evaluation whether it has still to be done.
        busy: tells whether jobs of an earlier head live on, whose allocations must stay.
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
        head: bool,
        missing: Callable[[Evaluation], bool],
        busy: Callable[[], bool],
    ) -> None:
        self._config, self._selected, self._deployed = config, selected, deployed
        self.slots, self._remote, self._head = max(slots, 1), remote, head
        self._saved, self._missing, self._busy = saved, missing, busy
        self._asked: dict[tuple[str, str], Slurm] = {}
        self._asked_of: dict[str, Slurm] = {}

    # --- who is where ---------------------------------------------------------------------

    def host(self, evaluation: Evaluation) -> str | None:
        """The deployed model whose allocation *evaluation* runs in, if any.

        Its own model, or else the first auxiliary one that it asks: one job cannot be in the
        groups of several, so it starts there what else it asks.
        """
        return next(iter(evaluation.transport.servers), None)

    def servers(self, evaluation: Evaluation) -> list[tuple[str, int]]:
        """The deployments whose jobs come before *evaluation*'s: name and allocation."""
        servers = evaluation.transport.servers
        if not self._remote:
            return [(name, 1) for name in servers]
        return [(name, self._number(name, evaluation)) for name in servers[:1]]

    def group(self, evaluation: Evaluation) -> str | None:
        """The group of *evaluation*'s job."""
        host = self.host(evaluation)
        return self.group_of(host, self._number(host, evaluation)) if host else None

    def group_of(self, name: str, number: int) -> str:
        """The group of the allocation *number* of the deployment *name*."""
        return name if number == 1 else f"{name}.{number}"

    def _number(self, host: str, evaluation: Evaluation) -> int:
        packed = self.packed.get(host)
        return packed.numbers.get(evaluation.id, 1) if packed else 1

    @cached_property
    def _hosted(self) -> dict[str, list[Evaluation]]:
        found: dict[str, list[Evaluation]] = {}
        for evaluation in self._selected.values():
            if host := self.host(evaluation):
                found.setdefault(host, []).append(evaluation)
        return found

    def _members(self, name: str, number: int) -> list[Evaluation]:
        return [e for e in self._hosted.get(name, ()) if self._number(name, e) == number]

    # --- what is asked for ----------------------------------------------------------------

    def gpus(self, name: str, number: int) -> int:
        """The GPUs of the job that deploys *name*: of all servers that its evaluations ask."""
        if not self._remote:
            return self._deployed[name].serving.gpus_on_host
        if "gres" in self.site_of_model(name):
            return 0  # asked for so
        return self._total_gpus(name, self._members(name, number))

    def _total_gpus(self, name: str, members: Sequence[Evaluation]) -> int:
        together = {e.transport.servers for e in members} or {(name,)}
        servers = max(sum(map(self._gpus_of, names)) for names in together)
        return servers + self._beside(members, "gpus", self.slots)

    def _gpus_of(self, name: str) -> int:
        serving = self._deployed[name].serving
        return serving.hosts * serving.gpus_on_host

    def mem_mb(self, name: str, number: int) -> int | None:
        """The memory of the job that deploys *name*: the server's and its evaluations'."""
        if not self._remote:
            return self._deployed[name].serving.mem_mb
        asked = self.of_model(name).mem_mb
        members = self._members(name, number)
        servers = {s for e in members for s in e.transport.servers} | {name}
        return asked or self._mem_mb(servers, members) or None

    def _mem_mb(self, servers: Collection[str], members: Sequence[Evaluation]) -> int:
        known = sum(self._deployed[server].serving.mem_mb or 0 for server in servers)
        beside = self.slots if servers else 1
        return known + self._beside(members, "mem_mb", beside)

    def runtime(self, name: str) -> int | None:
        """The minutes of the job that deploys *name* and of all that follows in it."""
        slurm = self.of_model(name)
        return slurm.walltime or slurm.max_walltime_per_allocation if self._remote else None

    def asked(self, evaluation: Evaluation, resource: str) -> int | None:
        """What ``execution`` says *evaluation* needs of mem_mb or runtime, where it says it.

        0 minutes in an allocation whose whole time is said: the job that deploys asks for it.
        """
        if not self._remote or resource not in ("mem_mb", "runtime"):
            return None
        if host := self.host(evaluation):
            return 0 if resource == "runtime" and self.runtime(host) else None
        asked = self.of_evaluation(evaluation)
        return asked.mem_mb if resource == "mem_mb" else asked.walltime

    def _beside(self, members: Iterable[Evaluation], resource: str, slots: int) -> int:
        """What *slots* evaluations side by side need of *resource* at most."""
        needs = (evaluation.transport.resources.get(resource) or 0 for evaluation in members)
        return sum(heapq.nlargest(slots, needs))

    def of_model(self, name: str) -> Slurm:
        """What Slurm is asked for the allocations of the deployment *name*."""
        if name not in self._asked_of:
            model = self._config.models.get(name) or self._config.auxiliary[name]
            self._asked_of[name] = layered(self._config.execution, model.execution)
        return self._asked_of[name]

    def of_evaluation(self, evaluation: Evaluation) -> Slurm:
        """What Slurm is asked for *evaluation*: for its allocation, where it is hosted."""
        if host := self.host(evaluation):
            return self.of_model(host)
        model = self._config.models[evaluation.model]
        benchmark = self._config.benchmarks[self._config.base(evaluation.benchmark)]
        own = evaluation.benchmark if benchmark.execution.slurm.model_fields_set else ""
        key = (evaluation.model, own)
        if key not in self._asked:
            self._asked[key] = layered(
                self._config.execution, model.execution, benchmark.execution if own else None
            )
        return self._asked[key]

    def site_of_model(self, name: str) -> dict[str, str | int]:
        """The resources that a site's scheduler is asked for the allocations of *name*.

        Several nodes have a task each, and their GPUs are asked for by node: a total would be
        spread as Slurm likes.
        """
        asked = resources(self.of_model(name), gpus=True)
        serving = self._deployed[name].serving
        if self._remote and serving.hosts > 1:
            asked |= {"nodes": serving.hosts, "tasks_per_node": 1}
            if serving.gpus_on_host:
                asked.setdefault("gres", f"gpu:{serving.gpus_on_host}")
        if self._asks_installed:
            model = self._config.models.get(name) or self._config.auxiliary[name]
            asked |= installed_requests.resources(self._config.execution, model.execution)
        return asked

    def site_of_evaluation(self, evaluation: Evaluation) -> dict[str, str | int]:
        """The same for the job of *evaluation*; in a group, where texts must be equal, no numbers.

        Numbers would be added up, and the job that deploys asks for all.
        """
        if host := self.host(evaluation):
            return {k: v for k, v in self.site_of_model(host).items() if isinstance(v, str)}
        gpus = bool(evaluation.transport.resources.get("gpus"))
        asked = resources(self.of_evaluation(evaluation), gpus=gpus)
        if self._asks_installed:
            config = self._config
            model = config.models[evaluation.model]
            benchmark = config.benchmarks[config.base(evaluation.benchmark)]
            asked |= installed_requests.resources(
                config.execution, model.execution, benchmark.execution
            )
        return asked

    @cached_property
    def _asks_installed(self) -> bool:
        """Whether the configuration says anything of an executor that is not built in."""
        return any(layer.installed for layer in self._layers)

    @property
    def asks(self) -> tuple[str, ...]:
        """The resources that anything asks for at all: what is not among them is the profile's."""
        spread = any(deployment.serving.hosts > 1 for deployment in self._deployed.values())
        if not self.configured and not spread and not self._asks_installed:
            return ()
        found: set[str] = set()
        for layer in self._layers:
            for gpus in (False, True):
                found |= resources(layered(layer), gpus=gpus).keys()
        for name in self._deployed:
            found |= self.site_of_model(name).keys()
        others = sorted(
            name
            for layer in self._layers
            for name in installed_requests.resources(layer).keys() - set(SITE)
        )
        return (*(name for name in SITE if name in found), *dict.fromkeys(others))

    @property
    def configured(self) -> bool:
        """Whether the configuration says anything of Slurm."""
        return any(layer.slurm.model_fields_set for layer in self._layers)

    @property
    def _layers(self) -> list[Execution]:
        config = self._config
        models = [*config.models.values(), *config.auxiliary.values()]
        benchmarks = config.benchmarks.values()
        return [
            config.execution,
            *(m.execution for m in models),
            *(b.execution for b in benchmarks),
        ]

    def by_hand(self) -> dict[str, tuple[list[Evaluation], tuple[str, ...], dict[str, Any]]]:
        """What ``sbatch_*.sh`` of each model runs: evaluations, servers, options of sbatch."""
        found = {}
        for model in dict.fromkeys(evaluation.model for evaluation in self._selected.values()):
            members = [e for e in self._selected.values() if e.model == model]
            servers = tuple(dict.fromkeys(s for e in members for s in e.transport.servers))
            if any(self._deployed[server].serving.nodes > 1 for server in servers):
                continue  # what starts it on each node is snakeval
            options = sbatch_options(
                self.of_model(servers[0]) if servers else self.of_evaluation(members[0]),
                gpus=self._total_gpus(servers[0], members)
                if servers
                else self._beside(members, "gpus", 1),
                cpus=min(self.slots, len(members)) if servers else None,
                mem_mb=self._mem_mb(servers, members) or None,
            )
            found[model] = (members, servers, options)
        return found

    # --- packing --------------------------------------------------------------------------

    @cached_property
    def packed(self) -> dict[str, Packed]:
        """How each deployed model's evaluations are packed; nothing where nobody asked."""
        if not self._remote:
            return {}
        before = self._read()
        if not self._head:
            return before
        durations = Durations.load()
        return {
            name: packed
            for name, members in self._hosted.items()
            if (packed := self._pack(name, members, durations, before.get(name)))
        }

    def _pack(
        self, name: str, members: list[Evaluation], durations: Durations, before: Packed | None
    ) -> Packed | None:
        slurm = self.of_model(name)
        if not any(getattr(slurm, key) for key in PACKING):
            return None
        minutes = slurm.max_walltime_per_allocation or slurm.walltime
        limits = Limits(
            seconds=60 * minutes if minutes else math.inf,
            slots=self.slots,
            evaluations=slurm.evaluations_per_allocation,
            allocations=slurm.allocations_per_model,
        )
        rule = digest([str(limits), sorted(evaluation.id for evaluation in members)])[:16]
        if before is not None and before.rule == rule and self._busy():
            return before  # jobs of an earlier head are at it, in these very allocations
        todo = [evaluation for evaluation in members if self._missing(evaluation)]
        expected = [durations.guess(evaluation) for evaluation in todo]
        loading = durations.loading(self._deployed[name])
        allocations = pack(expected, loading, limits)
        numbers = {
            todo[item].id: place
            for place, allocation in enumerate(allocations, start=1)
            for item in allocation.members
        }
        seconds = {
            place: total_seconds([allocation], expected, loading)
            for place, allocation in enumerate(allocations, start=1)
        }
        return Packed(rule, numbers, seconds, self._total_gpus(name, members))

    def _read(self) -> dict[str, Packed]:
        try:
            data = json.loads(self._saved.read_text(encoding="utf-8"))
            return {
                name: Packed(
                    packed["rule"],
                    packed["numbers"],
                    {int(number): float(s) for number, s in packed["seconds"].items()},
                    int(packed["gpus"]),
                )
                for name, packed in data.items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}  # the first start, or a file that this start makes anew

    def save(self) -> None:
        """Write what was packed, for the jobs on other hosts."""
        if not self.packed and not self._saved.exists():
            return
        data = {
            name: {
                "rule": packed.rule,
                "numbers": dict(packed.numbers),
                "seconds": {str(n): round(s, 1) for n, s in packed.seconds.items()},
                "gpus": packed.gpus,
            }
            for name, packed in self.packed.items()
        }
        write_if_changed(self._saved, json.dumps(data, indent=1))

    def notes(self) -> list[str]:
        """Sentences on the packing, for the person who plans the run."""
        lines = []
        for name, packed in self.packed.items():
            if not packed.seconds:
                continue
            hours = sum(packed.seconds.values()) / 3600
            what = "allocation" if len(packed.seconds) == 1 else "allocations"
            total = f"{len(packed.seconds)} {what}, about {hours_text(hours)}"
            if packed.gpus:
                total += f" and {hours * packed.gpus:.1f} GPU-hours"
            lines.append(f"Allocations: {name} in {total}")
            for number, seconds in sorted(packed.seconds.items())[:20]:
                members = [id for id, own in packed.numbers.items() if own == number]
                names = ", ".join(names_of_members(members, name))
                lines.append(
                    f"  {self.group_of(name, number)}: {hours_text(seconds / 3600)}: {names}"
                )
        return lines

    def spent(self, jobs: Iterable[Job]) -> list[str]:
        """Sentences on what the packed allocations took in *jobs* of Slurm, against the packing."""
        if not self.packed or not self._saved.exists():
            return []
        # The file is as old as the packing: jobs of an earlier one do not count.
        since = datetime.fromtimestamp(self._saved.stat().st_mtime, UTC).isoformat("T", "seconds")
        every = [job for job in jobs if job.submitted >= since]
        lines = []
        for name, packed in self.packed.items():
            own = [job for job in every if any(n.startswith(f"{name}/") for n in job.names)]
            if not own or not packed.seconds:
                continue
            took, expected = (
                sum(job.seconds for job in own) / 3600,
                sum(packed.seconds.values()) / 3600,
            )
            line = f"Allocations: {name} took {hours_text(took)} in {len(own)} Slurm jobs"
            line += f", {hours_text(expected)} expected"
            if packed.gpus:
                took, expected = took * packed.gpus, expected * packed.gpus
                line += f" ({took:.1f} GPU-hours, {expected:.1f} expected)"
            lines.append(line)
        return lines
