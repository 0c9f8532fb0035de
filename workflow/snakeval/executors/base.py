"""The seam for where jobs run: what an executor is to snakeval.

Snakemake submits the jobs; a Snakemake executor plugin does that and knows nothing of snakeval.
An :class:`Executor` is snakeval's side of the same place. ``doctor`` asks it for its checks,
``status`` and ``logs`` for its jobs, ``kill`` for what to stop. A package adds one with the
entry-point group ``snakeval.executors``; docs/executors.md has an example that runs.

Long because one class has all that commands ask of an executor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from snakeval.executors.stopping import Act as Act
from snakeval.executors.stopping import Fate as Fate
from snakeval.executors.stopping import Look as Look
from snakeval.executors.stopping import Remain as Remain
from snakeval.executors.stopping import Stage as Stage
from snakeval.executors.stopping import Stopping as Stopping

if TYPE_CHECKING:
    from pydantic import BaseModel

    from snakeval.config.config import Config
    from snakeval.evaluation.definition import Evaluation
    from snakeval.matrix.planned_jobs import PlannedJob
    from snakeval.run.directory import RunDirectory
    from snakeval.runtimes import Runtime
    from snakeval.serving.deployment import Deployment

Report = Callable[[str], None]
#: ``no`` is a lack that matters only to those who use it. ``wrong`` must be repaired.
Finding = Literal["ok", "no", "wrong"]

# --- checks -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked."""

    what: str
    state: Finding
    found: str
    to_do: str = ""


class Intent(NamedTuple):
    """The evaluations that the user is going to run, as the checks see them.

    Attributes:
        config: None if there is no configuration yet.
        variables: the environment variables that the configuration names.
        deployments: returns what the configuration deploys, by name.
        settings: returns the settings of a Snakemake profile by the profile's name.
        starting: a run starts with this executor: only checks that take no time.
    """

    config: Config | None = None
    variables: tuple[str, ...] = ()
    deployments: Callable[[], Mapping[str, Deployment]] = dict
    settings: Callable[[str], Mapping[str, Any]] = lambda profile: {}
    starting: bool = False


# --- jobs ---------------------------------------------------------------------------------------


class JobState(StrEnum):
    """How far a job is, as far as its executor knows."""

    WAITING = "waiting"
    #: It runs the harness itself. A job that runs snakeval is WAITING until its lease says more.
    RUNNING = "running"
    #: It has ended and its results are still there, to be collected.
    UNCOLLECTED = "uncollected"
    ENDED = "ended"
    #: It has ended, and not because it was done.
    LOST = "lost"
    #: A person stopped it, and the run continues without it.
    STOPPED = "stopped"
    UNKNOWN = "unknown"

    @property
    def lives(self) -> bool:
        """Whether it waits or runs, or may."""
        return self in (JobState.WAITING, JobState.RUNNING, JobState.UNKNOWN)


class Job(NamedTuple):
    """A job that an executor has, or had, for a run.

    Attributes:
        id: as the executor's own commands print it; empty if the executor has forgotten the job.
        names: ``model/benchmark`` of its evaluations, and ``model/deployment`` of its server.
        text: a sentence about it, without a full stop.
        log: the file that has what it printed, or empty.
        submitted: when, in ISO 8601 (UTC), or empty.
        seconds: how long it has run, as it was seen last.
    """

    id: str
    names: tuple[str, ...]
    state: JobState
    text: str = ""
    log: str = ""
    submitted: str = ""
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model's server that the executor runs apart from jobs.

    Attributes:
        name: as the executor's own commands print it.
        state: of the executor; ``gone``, or ``unknown`` where it cannot be asked.
        ready, wanted: replicas; None where that is not known.
        reason: why it cannot be known.
        time_out: seconds without a request after which the executor stops it by itself.
        served: whether its model has ever answered.
        executor: the title of the executor that has it.
    """

    model: str
    name: str
    state: str
    ready: int | None = None
    wanted: int | None = None
    reason: str = ""
    time_out: int | None = None
    served: bool = False
    executor: str = ""

    def __str__(self) -> str:
        """Say what is known of it."""
        if self.state == "unknown":
            known = f"unknown, {self.reason}"
        elif self.ready is None:
            known = self.state
        else:
            known = f"{self.state}, {self.ready} of {self.wanted} replicas ready"
        return f"endpoint {self.name} of {self.model}: {known}"

    @property
    def costs(self) -> bool:
        """Whether something of it may run."""
        return self.state not in ("gone", "unknown") and self.wanted != 0


class Jobs:
    """The jobs and servers of one run in an executor, at one moment.

    It asks the executor only if necessary, and once. ``silent`` says why the executor gave no
    answer; it is empty if it answered.
    """

    silent: str = ""

    def of(self, name: str) -> Job | None:
        """Return the newest job of ``model/benchmark`` or ``model/deployment``."""
        return next((job for job in reversed(self.all()) if name in job.names), None)

    def all(self) -> Sequence[Job]:
        """Return every job of the run, the newest last, as it is now."""
        return ()

    def noted(self) -> Sequence[Job]:
        """Return every job of the run as it was noted last; this reads files only."""
        return self.all()

    def notices(self) -> Sequence[str]:
        """Return sentences about jobs that cannot start, with what to do."""
        return ()

    def endpoints(self) -> Sequence[Endpoint]:
        """Return the servers of the run's models that run apart from jobs."""
        return ()

    def deploying(self, model: str) -> tuple[Literal["deploying", "waiting"], str] | None:
        """Return how far a server of *model* is that starts now, if one does."""
        return None


# --- the executor -------------------------------------------------------------------------------


class Executor:
    """A place for jobs. This class itself answers as an executor that has no jobs.

    Attributes:
        name: of its section in the configuration, ``execution.<name>``.
        title: as people call it.
        plugins: names of the Snakemake executor plugins whose jobs it knows.
        credentials: names of the environment variables that it logs in with.
        groups: whether a deployed model and its evaluations are one job. If not, each evaluation
            is a job, and the deployed model is something of its own.
        reads_variables: whether its jobs get their secrets from this machine's variables.
        has_gateways: whether a gateway always runs beside the harnesses of its jobs.
        one_head: whether a second Snakemake at the same evaluations fails, since the jobs of both
            are the same.
    """

    name: str = ""
    title: str = ""
    plugins: ClassVar[tuple[str, ...]] = ()
    credentials: ClassVar[tuple[str, ...]] = ()
    groups: ClassVar[bool] = True
    one_head: ClassVar[bool] = False
    reads_variables: ClassVar[bool] = True
    has_gateways: ClassVar[bool] = True

    # --- what it declares: methods, since `status` must not import schemas ----------------

    def options(self) -> type[BaseModel] | None:
        """Return the schema of ``execution.<name>``, or None if there is no such section."""
        return None

    def deployment_options(self) -> type[BaseModel] | None:
        """Return the schema of ``deployment.<name>``, or None if there is no such section.

        :attr:`snakeval.serving.deployment.Serving.executors` has the section of an executor that
        is not built in.
        """
        return None

    def resources(self) -> Mapping[str, str]:
        """Return option -> the resource of Snakemake by which rules ask the plugin for it."""
        return {}

    # --- what commands ask ----------------------------------------------------------------

    def checks(self, intent: Intent) -> Iterable[Check]:
        """Check what is needed here, for ``doctor`` and before the first job."""
        return ()

    def lacks(self, plugin: str) -> str:
        """Return what to install before Snakemake's *plugin* starts a job; empty for nothing."""
        return ""

    def plan(self, jobs: Sequence[PlannedJob]) -> Sequence[str]:
        """Describe the jobs that a run will submit, for a dry run; ask nothing."""
        return ()

    def warnings(
        self, evaluations: Sequence[Evaluation], settings: Mapping[str, Any]
    ) -> Sequence[str]:
        """Warn of unfinished evaluations that do not suit the settings of the plugin; ask nothing.

        *settings* are options of Snakemake by the names of its parser, such as ``lepton_mount``.
        """
        return ()

    def refusals(self, jobs: Sequence[PlannedJob]) -> Iterable[str]:
        """Ask the site which of the jobs it will refuse; return a sentence for each."""
        return ()

    def open(self, run: RunDirectory) -> None:
        """Note in *run*, which starts now in this directory, what later commands need to know."""

    def runtime(self) -> Runtime | None:
        """Return what describes containers if this machine needs no container engine."""
        return None

    def jobs(self, run: RunDirectory) -> Jobs:
        """Return what still runs or waits for *run*, by evaluation, with states."""
        return Jobs()

    def hurry(self) -> None:
        """Wait only briefly from now on for a service that does not answer: a stop begins."""

    def stop(self, run: RunDirectory, evaluation: str | None = None) -> Stopping:
        """Return what is to be stopped of *run*, or of one evaluation, ``model/benchmark``."""
        return Stopping()

    def log(self, run: RunDirectory, name: str) -> Path | None:
        """Return the file with what the newest job of an evaluation or a deployment printed."""
        job = next((job for job in reversed(self.jobs(run).noted()) if name in job.names), None)
        path = Path(job.log) if job and job.log else None
        return path if path and path.exists() else None

    def follow(self, run: RunDirectory, name: str, report: Report) -> Callable[[], None]:
        """Return what brings the log of an evaluation or a deployment up to date, at each call.

        It is for an executor whose jobs do not write their logs to the run's directory.
        """
        return lambda: None

    def has_served(self, run: RunDirectory) -> bool:
        """Whether it has ever served a model of *run* apart from jobs; quick, from files."""
        return False

    def leaves(self, run: RunDirectory) -> bool:
        """Whether an earlier start left what :meth:`close` has to tear down; quick, from files."""
        return False

    def close(self, run: RunDirectory, report: Report) -> None:
        """Tear down what the executor has for *run*, whose Snakemake ends."""

    # --- Snakemake itself as a job ---------------------------------------------------------

    #: Whether Snakemake itself can be a job there; then the two methods below work.
    hosts_heads: ClassVar[bool] = False

    def submit_head(self, run: str, command: Sequence[str], log: Path, config: Config) -> str:
        """Submit Snakemake's *command* as a job; return the job's id.

        Raises:
            ConfigError: the executor does not take it; the message has its words.
        """
        raise NotImplementedError

    def head_lives(self, job: str) -> bool | None:
        """Return whether the job of a head waits or runs; None if that cannot be known."""
        return None
