"""How far one evaluation is: one of nine states, with its reason, place and score."""

from __future__ import annotations

from dataclasses import dataclass

#: All states, in the order in which `status` counts them.
STATES = (
    "done", "running", "deploying", "waiting", "pending", "interrupted", "failed", "unknown",
    "skipped",
)  # fmt: skip
#: The states of an evaluation that a job works on.
ACTIVE = frozenset(["running", "deploying", "waiting"])


@dataclass(slots=True)  # a frozen one takes three times as long, and `status` makes thousands
class State:
    """How far an evaluation is. Nothing changes it.

    Attributes:
        state: one of :data:`STATES`.
        reason: why it failed, was skipped or cannot be known; how far its server is; or what its
            requests wait for.
        attempts: how many have begun.
        elapsed: seconds; of a finished one, those that it took.
        host, pid: the job's, of a live attempt or of one that may live.
        runtime: what its last attempt runs or ran in.
        container: the container of its last attempt, if the runtime has containers.
        requests: the number done, and the total if it is known; only of a running evaluation whose
            harness reports them.
        replayed: how many requests of a running evaluation its journal answered.
        metric, value, stderr: the headline metric of a finished one.
        job: the id of the executor's job, if one was submitted and is not done.
        scheduler: the executor's title, if the evaluation has a job.
        requests_per_second, tokens_per_second: of a finished one, in the answers of its model
            while requests were under way; None if unknown.
        warning: what the rules of health warn of in the answers of a finished one.
    """

    model: str
    benchmark: str
    state: str
    reason: str = ""
    attempts: int = 0
    elapsed: float | None = None
    host: str = ""
    pid: int | None = None
    runtime: str = ""
    container: str = ""
    requests: tuple[int, int | None] | None = None
    replayed: int = 0
    metric: str = ""
    value: float | None = None
    stderr: float | None = None
    job: str = ""
    scheduler: str = ""
    warning: str = ""
    requests_per_second: float | None = None
    tokens_per_second: float | None = None

    @property
    def id(self) -> str:
        """Its name in its run."""
        return f"{self.model}/{self.benchmark}"

    @property
    def active(self) -> bool:
        """Whether something works at it."""
        return self.state in ACTIVE
