"""The clients of the pool: jobs that ask for servers, and the Snakemake processes above them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from snakeval.run.directory import RunDirectory
from snakeval.serving import gpus
from snakeval.serving.gpus import Locks
from snakeval.serving.group import Group
from snakeval.serving.nodes import Place
from snakeval.serving.plan import Plan
from snakeval.serving.server import Server
from snakeval.serving.wire import Channel, Message

#: A Snakemake process: its id and the time of its start.
Head = tuple[int, str]


@dataclass
class Account:
    """The account of a head: how often its deployments died and loaded, and why they failed."""

    deaths: Counter[str] = field(default_factory=Counter)
    loads: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)


@dataclass(eq=False)
class Client:
    """A job that asks for servers.

    ``holds``: the job has them, so the pool stops none of them. ``given``: those it got, with the
    faults that each had until then. ``broken``: why one of them did not serve it to the end.
    ``gpus``: how many GPUs its harness needs for itself. ``own``: those it got, with their locks.
    ``holders``: the processes that have the GPUs that it waits for. ``turns``: the weights that it
    may ask shared servers for, by the server's id. ``is_stale``: whether one had other weights.
    """

    channel: Channel
    who: str
    run: RunDirectory
    head: Head
    plans: tuple[Plan, ...]
    environ: Mapping[str, str]
    eager: bool
    holds: bool = False
    gone: bool = False
    told: str = ""
    given: tuple[tuple[Server | Group, int], ...] = ()
    broken: str = ""
    gpus: int = 0
    own: Place = field(default_factory=lambda: Place(()))
    locks: Locks = field(default_factory=Locks)
    holders: dict[str, str] = field(default_factory=dict)
    turns: dict[str, str] = field(default_factory=dict)
    is_stale: bool = False

    def tell(self, event: str, **details: Any) -> None:
        """Send an event. If the client is gone, the thread that receives from it notices that."""
        with contextlib.suppress(OSError):
            self.channel.send({"event": event, **details})

    def ready(self, servers: Message) -> None:
        """Send the servers, and the harness's own GPUs with their locks."""
        message = {"event": "ready", "servers": servers, "gpus": self.own.gpu_ids}
        with contextlib.suppress(OSError):
            self.channel.send(message, self.locks.files)

    def progress(self, phase: str, text: str) -> None:
        """Send a phase of :mod:`snakeval.evaluation.events` and a sentence, once."""
        if text != self.told:
            self.told = text
            self.tell("progress", phase=phase, text=text)

    @property
    def harness_gpus(self) -> int:
        """How many GPUs the harness gets; none if this machine is not known to have any."""
        return self.gpus if gpus.slots(self.environ) else 0

    def wants(self, server: str) -> bool:
        """Whether the job asks for the server of that id."""
        return any(plan.deployment.server_id == server for plan in self.plans)

    def weights(self, server: str) -> str:
        """Return the weights that the job wants at a shared server; empty if none."""
        found = (p.deployment for p in self.plans if p.deployment.server_id == server)
        return next((deployment.weights for deployment in found), "")
