"""How the platform's jobs and endpoints are doing, in the platform's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from leptonai.api.v2.types.deployment import LeptonDeployment
from snakemake_executor_plugin_lepton import reasons

#: States of jobs that have ended, and of those that were deleted.
_ENDED, DELETED = ("Completed", "Failed", "Stopped"), ("Deleting", "Deleted", "Archived")
#: It also means that a container of an endpoint has ended.
_PASSING = ("BackOff",)
#: The platform's reasons of replicas that wait for a node.
QUEUED = ("NoCapacity", "Queueing")


@dataclass(frozen=True, slots=True)
class Job:
    """A job of an evaluation that snakeval submitted."""

    id: str
    evaluation: str
    state: str
    secrets: frozenset[str] = frozenset()

    @property
    def lives(self) -> bool:
        """Whether it waits or runs."""
        return self.state not in _ENDED

    def __str__(self) -> str:
        """Say what is to be known of it; its name is the one of ``lep job list``."""
        return f"Lepton job {self.id} is {self.state}"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why replicas do not run.

    Attributes:
        hopeless: a reason that does not pass by itself; empty if there is none.
        deaths: how often a replica has ended, and how the last one did.
        queued: whether all of them wait for a node.
        refused: why the platform finds that one cannot run now; hopeless if it stays so.
    """

    hopeless: str = ""
    deaths: int = 0
    death: str = ""
    queued: bool = False
    refused: str = ""


def hopeless(warnings: Mapping[str, int], *, certain: bool = False) -> str:
    """Return why replicas never run, by how often each reason was warned of; or nothing.

    If the platform is *certain*, a single warning explains it.
    """
    reason = reasons.worst(warnings, enough=1 if certain else reasons.ENOUGH, passing=_PASSING)
    return f"{reasons.HOPELESS[reason]} ({reason})" if reason else ""


def state_of(endpoint: LeptonDeployment) -> str:
    """Return an endpoint's state. With the older routes, only the phase shows a stopped one."""
    status = endpoint.status
    return str((status.phase or status.state).value) if status else "unknown"


def wanted_replicas(endpoint: LeptonDeployment) -> int:
    """Return how many replicas the platform wants to run now."""
    scaler = endpoint.status.autoscaler_status if endpoint.status else None
    if state_of(endpoint) != "Stopped" and scaler and scaler.desired_replicas is not None:
        return int(scaler.desired_replicas)
    needs = endpoint.spec.resource_requirement if endpoint.spec else None
    return int((needs.min_replicas if needs else 0) or 0)
