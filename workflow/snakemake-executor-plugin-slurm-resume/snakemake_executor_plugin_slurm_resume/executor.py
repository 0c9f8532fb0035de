"""The executor: a subclass of the official one that adopts, watches, resubmits and cancels jobs.

It depends on these methods of ``snakemake_executor_plugin_slurm`` 2.8: it wraps ``run_job``, adds
options for ``sbatch`` in ``get_account_arg`` (sbatch uses the last of a repeated option), and
replaces ``check_active_jobs``, ``cancel`` and ``sleep``.

Long because it is one subclass: its methods override and call those of the official executor.
"""

from __future__ import annotations

import asyncio
import math
import shlex
import threading
import time
from collections.abc import AsyncGenerator, Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import snakemake_executor_plugin_slurm as official
from snakemake_executor_plugin_slurm.utils import get_job_wildcards
from snakemake_executor_plugin_slurm.validation import validate_slurm_extra
from snakemake_interface_common.exceptions import WorkflowError
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo

from snakemake_executor_plugin_slurm_resume import cancelling, slurm
from snakemake_executor_plugin_slurm_resume.earlier import Earlier
from snakemake_executor_plugin_slurm_resume.failures import failure, log_end
from snakemake_executor_plugin_slurm_resume.heads import Heads, Submission
from snakemake_executor_plugin_slurm_resume.identity import Task, task
from snakemake_executor_plugin_slurm_resume.limits import PAUSES, Place, SubmitLimits, place
from snakemake_executor_plugin_slurm_resume.noise import Once
from snakemake_executor_plugin_slurm_resume.notes import Note, Notes, SlurmJob, in_utc, now
from snakemake_executor_plugin_slurm_resume.outage import Outage
from snakemake_executor_plugin_slurm_resume.pace import Pace
from snakemake_executor_plugin_slurm_resume.queries import Queries
from snakemake_executor_plugin_slurm_resume.refusals import SILENT, is_busy, submit_limit, words
from snakemake_executor_plugin_slurm_resume.script import (
    batch_script,
    can_be_direct,
    snakemake_script,
)
from snakemake_executor_plugin_slurm_resume.signals import (
    LeftError,
    Signals,
    ids,
    left,
    perhaps_left,
)
from snakemake_executor_plugin_slurm_resume.slurm import UnansweredError
from snakemake_executor_plugin_slurm_resume.states import (
    CLOSED,
    Meaning,
    Seen,
    base,
    clock,
    closed_itself,
    meaning,
    spent,
)
from snakemake_executor_plugin_slurm_resume.time_limits import TimeLimits, has_signal
from snakemake_executor_plugin_slurm_resume.waits import Waits

#: How many processes of sbatch run at the same time, and how many jobs wait for a limit.
_SBATCHES, _WAITING_JOBS = 2, 10_000
#: A look at the queue is valid for so many seconds while another Snakemake submits jobs.
_QUEUE_SECONDS = 2.0
#: How much later than its sbatch a Snakemake may notice a Ctrl-C, in seconds.
_CTRL_C_SECONDS = 3.0
#: The notes of a working directory's jobs.
_NOTES = Path(".snakemake") / "slurm_resume"
#: Seconds that Slurm may take after a Ctrl-C, and after a signal that leaves the jobs.
_CANCEL_SECONDS, _LEAVE_SECONDS = 10.0, 3.0


class Executor(official.Executor):
    """Submits, adopts, watches, resubmits and cancels Slurm jobs."""

    # The attributes of Snakemake itself; its executor interface declares only some of them.
    workflow: Any
    logger: Any

    def __init__(self, workflow: Any, logger: Any) -> None:
        settings = workflow.executor_settings
        for name, why in (
            ("array_jobs", "it cannot adopt a job of an array"),
            (
                "efficiency_report",
                "its jobs do not have the names that the report requires; use seff",
            ),
        ):
            if getattr(settings, name):
                option = f"--slurm-resume-{name.replace('_', '-')}"
                raise WorkflowError(f"slurm-resume does not support {option}: {why}")
        # Before the start of the watching thread.
        self._pace = Pace(
            settings.init_seconds_before_status_checks or 1,
            settings.max_seconds_between_status_checks,
        )
        self._stored = Notes(Path.cwd() / _NOTES)
        self._notes: dict[Any, Note] = {}
        self._options: dict[Any, str] = {}
        self._scripts: dict[Any, Path] = {}
        self._before = settings.before and self._stored.write_script("before", settings.before)
        self._accounts: dict[str, str] = {}
        self._submitting: set[Any] = set()
        #: Jobs whose sbatch gave no answer before this Snakemake stopped.
        self._unanswered: set[Any] = set()
        self._refused: dict[Any, str] = {}
        self._live: set[str] = set()
        self._spent: dict[Any, str] = {}
        self._lock = threading.RLock()
        self._stopping = threading.Event()
        self._sbatches = threading.Semaphore(_SBATCHES)
        self._limits = SubmitLimits(self._stopping.is_set)
        self._earlier: Earlier | None = None
        self._earlier_read = 0.0
        self._forgotten: set[str] = set()
        self._heads = Heads(self._stored.directory / "heads")
        self._heads.enter()
        self._elsewhere: set[Path] = set()
        self._signals = Signals(self._leave)
        slurm.deadline.at = math.inf  # of an earlier executor in this process
        self._submitted_job_clusters: set[str] = set()
        self._outage = Outage(logger.warning, logger.info)
        self._queries = Queries(logger, workflow.execution_settings.latency_wait, self._outage)
        self._once = Once()
        logger.addFilter(self._once)
        self._waits = Waits(logger.warning)
        self._times = TimeLimits(settings, self.get_partition_arg)
        super().__init__(workflow, logger)

    def __post_init__(self, *args: Any, **kwargs: Any) -> None:
        """Let a job that waits for a limit keep no other job waiting."""
        super().__post_init__(*args, **kwargs)
        self._job_submission_executor = ThreadPoolExecutor(_WAITING_JOBS, "slurm_job_submit")

    # --- submission, in the threads of the official plugin's pool -----------------------------

    def run_jobs(self, jobs: list[Any]) -> None:
        """Submit jobs; from now on, signals have their own meaning."""
        self._signals.install()
        super().run_jobs(jobs)

    def run_job(self, job: Any) -> None:
        """Adopt the Slurm job that already makes the files of *job*, or submit one."""
        try:
            if not self._stopping.is_set():
                self._run(job)
        except Exception as error:  # the thread has no other handler: the job would never end
            self.logger.debug("slurm-resume: submission", exc_info=True)
            self._refuse(job, str(error) or repr(error))

    def _run(self, job: Any) -> None:
        wanted = task(job, self.workflow.executor_settings.jobname_prefix or "")
        if job in self._spent:  # a retry, which Snakemake does not know to be useless
            self._refuse(job, self._spent[job])
            return
        submission = Submission(self._stored.directory, wanted.name, self._heads)
        while not submission.take():
            if self._stopping.wait(1):
                return
        try:
            self._find_or_submit(job, wanted)
        finally:
            submission.give_back()

    def _find_or_submit(self, job: Any, wanted: Task) -> None:
        found = self._earlier_jobs(wanted).match(wanted)
        if found.same:
            self._adopt(job, found.same, found.note, wanted)
            return
        awaited = self._awaited_by_others() if found.outdated else {}
        for seen in found.outdated:
            if seen.id in awaited:
                self._refuse(
                    job,
                    f"Slurm job {seen.id} makes the same files with other params for "
                    f"{awaited[seen.id]}. Wait for its end",
                )
                return
        for seen in found.outdated:
            self.logger.info(
                f"Slurm job {seen.id} makes {seen.name} with other params. Cancelling it."
            )
        slurm.cancel([seen.id for seen in found.outdated], self._submitted_job_clusters)
        note = Note(wanted, jobs=self._history(job, wanted))
        # Wait first for jobs that make some of the same files.
        others = [seen.id for seen in (*found.outdated, *found.overlapping)]
        if found.overlapping:
            self.logger.info(f"{wanted.name} waits for {ids(others)}, which makes the same files.")
        self._submit(job, note, others)

    def _history(self, job: Any, wanted: Task) -> tuple[SlurmJob, ...]:
        """Return the Slurm jobs of an earlier Snakemake; none if they used up all submissions.

        A user who starts the command again wants it to continue.
        """
        note = self._stored.read(wanted.name)
        if note is None or self._why_spent(job, note):
            return ()
        return note.jobs

    def _why_spent(self, job: Any, note: Note) -> str:
        used = sum(past.elapsed for past in note.series)
        return spent(used, len(note.series), self._times.longest(job))

    def _earlier_jobs(self, wanted: Task) -> Earlier:
        """The jobs in the queue at the start of this Snakemake; read after Slurm answers.

        They are read again if another Snakemake also submits jobs of this directory.
        """
        with self._lock:
            if self._earlier is None or (self._heads.others() and self._is_old(wanted)):
                rows = self._persist(lambda: slurm.queue(self._submitted_job_clusters))
                self._earlier = Earlier(rows.values(), self._stored, self._forgotten)
                self._earlier_read = time.monotonic()
            return self._earlier

    def _is_old(self, wanted: Task) -> bool:
        """Whether the queue may have a job for *wanted* that was not there when it was read."""
        note = self._stored.read(wanted.name)
        newest = note.jobs[-1].id if note and note.jobs else ""
        is_unknown = bool(newest and self._earlier and not self._earlier.knows(newest))
        return is_unknown or time.monotonic() - self._earlier_read > _QUEUE_SECONDS

    def _awaited_by_others(self) -> dict[str, str]:
        """Return the Slurm jobs that other live Snakemakes wait for, each with its Snakemake."""
        others = self._heads.others(self._elsewhere)
        return {number: who for who, jobs in others.items() for number in jobs}

    def _adopt(self, job: Any, seen: Seen, note: Note | None, wanted: Task) -> None:
        if seen.place and Path(seen.place) != Path.cwd():
            self._elsewhere.add(Path(seen.place) / _NOTES / "heads")
        note = note or Note(wanted)
        known = note.job(seen.id)
        log = Path(known.log) if known.log else self._logfile(job, seen.id)
        note = note.with_job(replace(known, state=seen.state, log=str(log)))
        self._times.set_lead(job)
        self.logger.info(
            f"Slurm job {seen.id} already makes this ({seen.name}, {seen.state}"
            f"{f' on {seen.node}' if seen.node else ''}). Adopting it."
        )
        self._keep(job, note)
        info = SubmittedJobInfo(job, external_jobid=seen.id, aux={"slurm_logfile": log})
        self._report_job_submission_threadsafe(info)

    def _submit(self, job: Any, note: Note, after: list[str] | None = None) -> None:
        self._check(job)
        direct = self.workflow.executor_settings.direct and can_be_direct(job, self.workflow)
        note = replace(note, direct=direct)
        if direct:
            # The same actions as those of a Snakemake in a job.
            self.workflow.async_run(job.prepare())
            script = batch_script(job, note.task.title, Path.cwd(), self._before)
            self._scripts[job] = self._stored.write_script(note.task.name, script)
        lead = self._times.set_lead(job)
        options = ["--job-name", note.task.name]
        if comment := job.resources.get("slurm_comment"):
            options += ["--comment", str(comment)]
        if lead and not has_signal(job):
            options.append(f"--signal={'B:' if direct else ''}TERM@{lead}")
        if after:
            options.append(f"--dependency=afterany:{':'.join(after)}")
        self._options[job] = shlex.join(options)
        # The intent. A later Snakemake searches the queue for its name.
        self._keep(job, note)
        refusals = 0
        while not self._stopping.is_set():
            said = self._submit_once(job)
            if submit_limit(said):
                said = self._wait_for_limit(job, said)
            if not said or self._stopping.is_set():
                return
            if not is_busy(said):
                self._refuse(job, f"Slurm rejects it: {said}")
                return
            self._outage.fails(said)
            self._stopping.wait(PAUSES[min(refusals, len(PAUSES) - 1)])
            refusals += 1
            # The answer may be lost although Slurm has the job.
            rows = self._persist(lambda: slurm.queue(self._submitted_job_clusters))
            for seen in rows.values():
                if seen.name == note.task.name and meaning(seen.state) is Meaning.LIVE:
                    self._adopt(job, seen, note, note.task)
                    return

    def _wait_for_limit(self, job: Any, said: str) -> str:
        """Submit when no limit rejects the job; until then its note has the reason."""
        self._keep(job, replace(self._notes[job], waits=said))
        try:
            return self._limits.submit_when_possible(
                lambda: self._submit_once(job), said, self._place(job), self.logger.warning
            )
        finally:
            if (note := self._notes.get(job)) and note.waits:
                self._keep(job, replace(note, waits=""))

    def _submit_once(self, job: Any) -> str:
        """Let the official plugin submit; return why Slurm rejected the job, or nothing."""
        with self._sbatches:
            if self._stopping.is_set():
                return ""
            self._submitting.add(job)
            before = len(self._notes[job].jobs)
            self._unanswered.add(job)
            try:
                super().run_job(job)
            finally:
                self._submitting.discard(job)
            if self._refused.get(job) == SILENT:
                # Ctrl-C also ends sbatch, perhaps before this process has noticed it.
                self._stopping.wait(_CTRL_C_SECONDS)
            if len(self._notes[job].jobs) > before or not self._stopping.is_set():
                self._unanswered.discard(job)
        return self._refused.pop(job, "")

    def _place(self, job: Any) -> Place:
        return place(job, next(self._account(job)))

    def _report_job_error_threadsafe(self, job_info: SubmittedJobInfo, msg: str) -> None:
        if job_info.job not in self._submitting:
            super()._report_job_error_threadsafe(job_info, msg)
            return
        self._refused[job_info.job] = words(msg)

    def _refuse(self, job: Any, why: str) -> None:
        if self._stopping.is_set():
            return  # the job has not failed
        self._submitting.discard(job)
        self._report_job_error_threadsafe(SubmittedJobInfo(job), f"{why}\n")

    def _check(self, job: Any) -> None:
        """Check the input here: in `run_job` of the official plugin it ends in a traceback."""
        validate_slurm_extra(job)
        self._times.longest(job)
        next(self._account(job))
        self.get_partition_arg(job)

    def _account(self, job: Any) -> Iterator[str]:
        wanted = str(job.resources.get("slurm_account") or "")
        with self._lock:
            if wanted not in self._accounts:  # each check is a call of sacctmgr
                silent = slurm.why_no_accounting()
                if silent:
                    what = f"account {wanted} is not checked" if wanted else "no account is guessed"
                    self.logger.warning(f"The accounting does not answer ({silent}): {what}.")
                    self._accounts[wanted] = f" -A {shlex.quote(wanted)}" if wanted else ""
                else:
                    self._accounts[wanted] = next(super().get_account_arg(job))
        yield self._accounts[wanted]

    def get_account_arg(self, job: Any) -> Iterator[str]:
        """Return the account's option and this plugin's, which follow the official plugin's."""
        for account in self._account(job):
            yield f"{account} {self._options.get(job, '')}"

    def format_job_exec(self, job: Any) -> str:
        """Return the command of the job: its script, or a Snakemake in the job."""
        script = self._scripts.get(job)
        if script is None:
            command = super().format_job_exec(job)
            if not self._before:
                return str(command)
            task = self._notes[job].task
            text = snakemake_script(command, task.title, self._before)
            script = self._stored.write_script(task.name, text)
        return f"exec bash {shlex.quote(str(script))}"

    def _logfile(self, job: Any, number: str) -> Path:
        """Return the path of a Slurm job's log, as the official plugin sets it."""
        kind = f"group_{job.name}" if job.is_group() else f"rule_{job.name}"
        return Path(self.slurm_logdir) / kind / get_job_wildcards(job) / f"{number}.log"

    def report_job_submission(self, job_info: SubmittedJobInfo, register_job: bool = True) -> None:
        """Note the Slurm job before other threads see it."""
        number, note = job_info.external_jobid, self._notes.get(job_info.job)
        if number is not None and note is not None:
            if all(known.id != number for known in note.jobs):
                log = str((job_info.aux or {}).get("slurm_logfile", ""))
                self._keep(job_info.job, note.with_job(SlurmJob(number, now(), log=log)))
            self._await(number)
        super().report_job_submission(job_info, register_job=register_job)
        self._pace.stir()

    def _await(self, *begun: str, ended: str = "") -> None:
        with self._lock:
            self._live |= {*begun}
            self._live.discard(ended)
            self._heads.wait_for(self._live)

    def _keep(self, job: Any, note: Note) -> None:
        self._notes[job] = note
        self._stored.write(note)

    def _persist(self, query: Any) -> Any:
        """Ask until Slurm answers: without an answer, a job could be submitted twice."""
        for number in range(1_000_000):
            try:
                return query()
            except UnansweredError as error:
                self._outage.fails(str(error))
                if self._stopping.wait(PAUSES[min(number, len(PAUSES) - 1)]):
                    break
        raise WorkflowError("interrupted")

    # --- watching, in a thread of its own -----------------------------------------------------

    async def sleep(self) -> None:
        """Sleep until the next poll, or until an event."""
        await asyncio.sleep(0.2)
        while self.wait and not self._pace.is_due:
            await asyncio.sleep(0.2)

    async def check_active_jobs(  # type: ignore[override]  # the interface says Generator
        self, active_jobs: list[SubmittedJobInfo]
    ) -> AsyncGenerator[SubmittedJobInfo, None]:
        """Ask Slurm once for all jobs; report the ended ones and yield the others."""
        self._heads.beat()
        if not active_jobs:
            return
        outputs = {
            str(info.external_jobid): list(note.task.outputs)
            for info in active_jobs
            if (note := self._notes.get(info.job))
        }
        async with self.status_rate_limiter:
            seen = self._queries.look(outputs, self._submitted_job_clusters)
        self._pace.looked()
        if seen and not self._stopping.is_set():
            self._waits.look(seen.values())
        if self._queries.undecided:
            self._pace.stir()
        for info in active_jobs:
            # The end of a job that is being cancelled is expected.
            row = None if self._stopping.is_set() else seen.get(str(info.external_jobid))
            try:
                lives = row is None or self._follow(info, row)
            except Exception as error:  # it would end the whole workflow
                self.logger.error(f"Slurm job {info.external_jobid}: {error}. Looking again.")
                self.logger.debug("slurm-resume: a look", exc_info=True)
                lives = True
            if lives:
                yield info

    def _follow(self, info: SubmittedJobInfo, seen: Seen) -> bool:
        """Act on a job's state; return whether the job is live."""
        job, lead = info.job, self._times.leads.get(info.job, 0)
        note = self._notes[job]
        if closed_itself(seen, lead, note.direct):
            seen = replace(seen, state=CLOSED)
        what = meaning(seen.state)
        known = note.job(seen.id)
        word = base(seen.state)
        if (word, seen.node) != (known.state, known.node) or what is not Meaning.LIVE:
            known = replace(
                known,
                state=word,
                node=seen.node or known.node,
                elapsed=max(seen.total, seen.elapsed),
                limit=seen.limit,
                ended="" if what is Meaning.LIVE else in_utc(seen.ended),
            )
            note = note.with_job(known)
            self._keep(job, note)
        if what is Meaning.LIVE:
            return True
        self._await(ended=seen.id)
        self._limits.wake()
        self._forgotten.add(seen.id)
        if self._earlier:
            self._earlier.forget(seen.id)
        self._pace.stir()
        if what is Meaning.DONE:
            self._succeed(info)
        elif what is Meaning.LOST:
            self._go_on(info, note, known, seen)
        else:
            self._fail(info, known, failure(seen, known))
        return False

    def _succeed(self, info: SubmittedJobInfo) -> None:
        log = (info.aux or {}).get("slurm_logfile")
        if log and not self.workflow.executor_settings.keep_successful_logs:
            Path(log).unlink(missing_ok=True)
        self.report_job_success(info)

    def _go_on(self, info: SubmittedJobInfo, note: Note, known: SlurmJob, seen: Seen) -> None:
        """Submit a job again that ended through no fault of its own, if that is still allowed."""
        if known.state in ("NODE_FAIL", "BOOT_FAIL") and known.node:
            self._failed_nodes.add(known.node)
        why = self._why_spent(info.job, note)
        # After a SIGTERM Snakemake waits for running jobs, and starts none.
        if not why and getattr(self.workflow.scheduler, "_user_kill", None):
            why = "Snakemake is stopping; the same command resumes the job"
        elif why:
            self._spent[info.job] = why
        if why:
            self._fail(info, known, f"{failure(seen, known)}; {why}")
            return
        if self._stopping.is_set():
            return
        used = sum(past.elapsed for past in note.series)
        self.logger.info(
            f"{failure(seen, known)}; submitted again ({clock(used)} in "
            f"{len(note.series)} Slurm job{'s' if len(note.series) > 1 else ''} so far)."
        )
        # The note of this task: an adopted job may have more files.
        wanted = task(info.job, self.workflow.executor_settings.jobname_prefix or "")
        again = Note(wanted, jobs=note.jobs)
        self._job_submission_executor.submit(self._again, info.job, again)

    def _again(self, job: Any, note: Note) -> None:
        try:
            self._submit(job, note)
        except Exception as error:
            self.logger.debug("slurm-resume: submission", exc_info=True)
            self._refuse(job, str(error) or repr(error))

    def _fail(self, info: SubmittedJobInfo, known: SlurmJob, why: str) -> None:
        lines = log_end(Path(known.log)) if known.log else ""
        self.logger.error(f"{why}. Log: {known.log}{lines}")
        self.report_job_error(info, msg=f"{why}. ", aux_logs=[known.log] if known.log else [])

    # --- the end ------------------------------------------------------------------------------

    def _leave(self, signal: str) -> None:
        """End this Snakemake after a *signal*; its Slurm jobs continue."""
        self._stopping.set()
        self._limits.wake()
        slurm.deadline.within(_LEAVE_SECONDS)
        cancelling.end_submissions(self._job_submission_executor)
        self._keep_scripts()
        text = left(signal, sorted(self._live))
        self.workflow.scheduler.executor_error_callback(LeftError(text))

    def _keep_scripts(self) -> None:
        """Keep the files that waiting jobs read; Snakemake deletes this directory at its end."""
        self._tmpdir = None

    def cancel(self) -> None:
        """Submit nothing more, then cancel all jobs."""
        self._stopping.set()
        self._limits.wake()
        self._signals.expect_another()
        slurm.deadline.within(_CANCEL_SECONDS)
        cancelling.end_submissions(self._job_submission_executor)
        super().cancel()

    def shutdown(self) -> None:
        """End the watching, and leave the Snakemakes of this directory."""
        super().shutdown()
        self._heads.leave()
        self._signals.restore()
        self.logger.removeFilter(self._once)

    def cancel_jobs(self, active_jobs: list[SubmittedJobInfo]) -> None:
        """Cancel every job that was submitted or adopted and has not ended.

        A job that another live Snakemake waits for continues.
        """
        names = {note.task.name for note in self._notes.values()}
        awaited = self._awaited_by_others()
        if spared := sorted(self._live & awaited.keys()):
            whom = ", ".join(sorted({awaited[number] for number in spared}))
            self.logger.info(f"{ids(spared)} continues, since {whom} waits for it.")
        done = cancelling.cancel(self._live, names, awaited.keys(), self._submitted_job_clusters)
        self._note_cancelled(done.left | awaited.keys())
        # Slurm may have them, and only its queue could say so.
        unanswered = {self._notes[job].task.name for job in self._unanswered} if done.said else ()
        if done.left or unanswered:
            self.logger.error(perhaps_left(done.left, unanswered, done.said))
        elif cancelled := self._live - awaited.keys():
            self.logger.info(f"Cancelled {ids(sorted(cancelled))}. Run the same command to resume.")
        if done.left or spared or unanswered:
            self._keep_scripts()

    def _note_cancelled(self, left: Set[str]) -> None:
        for job, note in list(self._notes.items()):
            last = note.jobs[-1] if note.jobs else None
            if last and last.id in self._live and last.id not in left:
                self._keep(job, note.with_job(replace(last, state="CANCELLED", ended=now())))
