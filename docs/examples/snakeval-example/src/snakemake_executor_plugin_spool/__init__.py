"""The Snakemake executor ``spool``: each job is a process, with three files in a directory.

``.snakemake/spool/<id>.json`` says what it makes, ``<id>.log`` has what it prints and ``<id>.exit``
its exit code. Snakemake finds this plugin by the package's name; it knows nothing of snakeval.
"""

import json
import os
import shlex
import signal
import subprocess
import time
import uuid
from pathlib import Path

from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor
from snakemake_interface_executor_plugins.settings import CommonSettings

#: Seconds between SIGINT and SIGKILL.
_GRACE = 20

common_settings = CommonSettings(
    non_local_exec=True,
    implies_no_shared_fs=False,
    job_deploy_sources=False,
    pass_default_storage_provider_args=True,
    pass_default_resources_args=True,
    pass_envvar_declarations_to_cmd=False,
    auto_deploy_default_storage_provider=False,
    init_seconds_before_status_checks=1,
)


class Executor(RemoteExecutor):
    """Starts, watches and cancels jobs."""

    def run_job(self, job) -> None:
        """Start a job, and leave word of it in the spool."""
        spool = Path(".snakemake/spool").absolute()
        spool.mkdir(parents=True, exist_ok=True)
        name = uuid.uuid4().hex[:8]
        jobs = job.jobs if job.is_group() else [job]
        niceness = job.resources.get("spool_niceness", 0)
        command = f"nice -n {int(niceness)} sh -c {shlex.quote(self.format_job_exec(job))}"
        with (spool / f"{name}.log").open("wb") as log:
            child = subprocess.Popen(
                ["sh", "-c", f"{command}; echo $? > {shlex.quote(str(spool / name))}.exit"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        outputs = [str(Path(output).absolute()) for each in jobs for output in each.output]
        note = {"id": name, "pid": child.pid, "outputs": outputs}
        (spool / f"{name}.json").write_text(json.dumps(note), encoding="utf-8")
        self.report_job_submission(
            SubmittedJobInfo(job, external_jobid=name, aux={"child": child, "spool": spool})
        )

    async def check_active_jobs(self, active_jobs):
        """Report the jobs that have ended; yield the others."""
        for active in active_jobs:
            child, spool = active.aux["child"], active.aux["spool"]
            if child.poll() is None:
                yield active
                continue
            exit_file = spool / f"{active.external_jobid}.exit"
            if exit_file.exists() and exit_file.read_text().strip() == "0":
                self.report_job_success(active)
            else:
                self.report_job_error(active, msg=f"see {exit_file.with_suffix('.log')}")

    def cancel_jobs(self, active_jobs) -> None:
        """End the jobs, with all their processes.

        A job is a Snakemake of its own, which can hang when it receives SIGTERM: its handler takes
        a lock that the interrupted code may hold. Therefore SIGINT comes first, and SIGKILL last.
        """
        groups = {active.aux["child"].pid for active in active_jobs}
        until = time.monotonic() + _GRACE
        self._signal(groups, signal.SIGINT)
        while groups and time.monotonic() < until:
            time.sleep(0.2)
            for active in active_jobs:
                active.aux["child"].poll()  # an ended process counts until it is waited for
            self._signal(groups, 0)
        self._signal(groups, signal.SIGKILL)

    def _signal(self, groups: set[int], number: int) -> None:
        """Signal groups of processes; remove those that are gone."""
        for group in tuple(groups):
            try:
                os.killpg(group, number)
            except ProcessLookupError:
                groups.remove(group)
