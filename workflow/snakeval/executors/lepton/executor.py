"""The executor ``lepton``: jobs of Snakemake's plugin ``lepton``, and endpoints of its platform."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from snakeval.executors.base import Check, Executor, Intent, Jobs, Report, Stopping
from snakeval.executors.lepton import TITLE

if TYPE_CHECKING:
    from snakeval.config.lepton import LeptonEndpoint
    from snakeval.evaluation.definition import Evaluation
    from snakeval.run.directory import RunDirectory
    from snakeval.runtimes import Runtime


class Lepton(Executor):
    """Jobs and endpoints of a Lepton workspace. Its library is imported when it is asked."""

    name = "lepton"
    title = TITLE
    plugins: ClassVar[tuple[str, ...]] = ("lepton",)
    credentials: ClassVar[tuple[str, ...]] = ("LEPTON_WORKSPACE_ID", "LEPTON_WORKSPACE_TOKEN")
    #: A model is an endpoint of the platform, and each evaluation a job.
    groups = False
    #: Secrets are the workspace's.
    reads_variables = False
    has_gateways = False

    def deployment_options(self) -> type[LeptonEndpoint]:
        """Return the schema of ``deployment.lepton``."""
        from snakeval.config.lepton import LeptonEndpoint

        return LeptonEndpoint

    def checks(self, intent: Intent) -> Iterable[Check]:
        """Check the library, the login, the profile, and what the workspace has of it all."""
        from snakeval.executors.lepton.checks import checks

        return checks(intent)

    def lacks(self, plugin: str) -> str:
        """Look for the platform's library, which the plugin imports when it starts."""
        from snakemake_executor_plugin_lepton import libraries

        if plugin not in self.plugins or importlib.util.find_spec("leptonai") is not None:
            return ""
        absent = ModuleNotFoundError(name="leptonai")
        return libraries.cannot_import("The executor lepton", libraries.LEPTONAI, absent)

    def runtime(self) -> Runtime:
        """Jobs are containers of the platform."""
        from snakeval.executors.lepton.runtime import LeptonRuntime

        return LeptonRuntime()

    def jobs(self, run: RunDirectory) -> Jobs:
        """Return the run's jobs and endpoints, by one list of each."""
        from snakeval.executors.lepton.status import LeptonJobs

        return LeptonJobs(run)

    def stop(self, run: RunDirectory, evaluation: str | None = None) -> Stopping:
        """Return the jobs, and then the endpoints that nothing asks any more."""
        from snakeval.executors.lepton.stop import stopping

        return stopping(run, evaluation or "")

    def warnings(
        self, evaluations: Sequence[Evaluation], settings: Mapping[str, Any]
    ) -> Sequence[str]:
        """Return which results will not fit the logs of their jobs, by earlier results."""
        from snakeval.executors.lepton.sizes import warnings

        return warnings(evaluations, settings)

    def follow(self, run: RunDirectory, name: str, report: Report) -> Callable[[], None]:
        """Return what copies the log of a job or an endpoint into the run."""
        from snakeval.executors.lepton.live_logs import Follower

        return Follower(run, name, report)

    def has_served(self, run: RunDirectory) -> bool:
        """Whether there are notes on endpoints, or there were some."""
        return run.endpoint_notes.exists()

    def leaves(self, run: RunDirectory) -> bool:
        """Whether endpoints are noted."""
        from snakeval.executors.lepton.notes import Notes

        return bool(Notes(run).all())

    def close(self, run: RunDirectory, report: Report) -> None:
        """Delete the run's endpoints."""
        from snakeval.executors.lepton.stop import close

        close(run, report)
