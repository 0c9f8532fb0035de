"""A logger plugin for Snakemake: a live display on a terminal, else one line for each evaluation.

``logger: snakeval`` in a profile enables it. Snakemake's own complete log stays in
``.snakemake/log``.

``snakemake-logger-plugin-rich`` (0.5.1, "in development") cannot do this. Its bars count rules, not
models. It has no requests and no remaining time, and no place to add them. The output of jobs
breaks its display, and it also draws without a terminal.
"""

from __future__ import annotations

import logging
import re
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_snakeval.jobs import DEPLOY, EVALUATE, Job
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.matrix.durations import Durations
from snakeval.watch.display.tally import Tally

if TYPE_CHECKING:
    from snakeval.dag.matrix import Matrix
    from snakeval.watch.display.display import Display


def tally_of(matrix: Matrix, deployments: int) -> Tally:
    """Return the tally of an invocation at its start."""
    missing = {*matrix.reruns.missing(), *matrix.reruns.stale}
    durations = Durations.load()

    def expect(name: str) -> float | None:
        model, _, benchmark = name.partition("/")
        evaluation = matrix.invocation.selected.get((model, benchmark)) if durations else None
        return durations.expect(evaluation) if evaluation else None

    return Tally(
        matrix.invocation.directory,
        (evaluation.id for evaluation in matrix.invocation.selected.values()),
        {EvaluationDirectory.of_record(record).name for record in missing},
        deployments,
        cache(expect),
    )


__all__ = ["LogHandler"]

#: Snakemake's messages about itself, which have no news of the evaluations.
_NOISE = (
    "Assuming unrestricted shared filesystem",
    "Building DAG of jobs",
    "Select jobs to execute",
    "Execute ",
    "Using shell",
    "Provided ",
    "Rules claiming more threads",
    "Complete log",
    "Log path",
    "Job stats:",
    "Reasons:",
    "host:",
    "This was a dry-run (flag -n). The order",
    "--keep-incomplete mode is set",
    "Conda environments: ignored",
    "WorkflowError:\nAt least one job did not complete successfully",
    "Exiting because a job execution failed",
    "Shutting down, this might take some time",
    "Some jobs were triggered by provenance information",
    "Rules with provenance triggered jobs",
    "Rules with missing metadata",
)


#: The failure of a script that has printed its reason.
_SCRIPT = re.compile(r"scripts/tmp\w+\.(table|report)\.py' returned non-zero exit status")
_NOTHING = "Nothing to be done"
#: Follows a number of jobs. Fingerprints decide, and not Snakemake's metadata.
_NO_METADATA = " have missing provenance/metadata so that it in part cannot be used"
#: The name of Snakemake's logger.
_SNAKEMAKE = "snakemake.logging"


class LogHandler(LogHandlerBase):
    """Prints to standard error."""

    def __post_init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._refusals: dict[str, str] = {}
        self._done = 0
        self._total: int | None = None
        self._display: Display | None = None
        self._refuse_unwritable_cache()
        self._refuse_bad_configfiles()
        logging.getLogger(_SNAKEMAKE).addFilter(self._before_jobs)

    def _refuse_unwritable_cache(self) -> None:
        """Make Snakemake's cache: if Snakemake 9.27 cannot, it ends in a traceback."""
        from snakemake.common import get_appdirs

        from snakeval.files import unwritable

        place = get_appdirs().user_cache_dir  # type: ignore[no-untyped-call]
        cache = Path(place, "snakemake/source-cache/snakemake-runtime-cache")
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with TemporaryDirectory(dir=cache):
                pass
        except OSError as error:
            where = unwritable(error.filename or cache, error, "XDG_CACHE_HOME")
            raise SystemExit(f"snakeval: {where}") from None

    def _refuse_bad_configfiles(self) -> None:
        """Read ``--configfile`` files strictly, before Snakemake does.

        Snakemake 9.27 parses these files before any Snakefile. A file that is absent or not UTF-8
        ends in a traceback, and nested aliases never end.
        """
        from snakeval.config.yaml_file import read
        from snakeval.errors import ConfigError

        for name in _configfiles(sys.argv[1:]):
            try:
                read(Path(name))
            except ConfigError as error:
                raise SystemExit(f"snakeval: {error}") from None

    def emit(self, record: logging.LogRecord) -> None:
        """Print one record, or skip it."""
        try:
            event = getattr(record, "event", None)
            text = self._text(record, event)
            if text:
                print(text, file=sys.stderr, flush=True)
        except BrokenPipeError:
            return  # no reader is left; the run continues
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Restore the terminal."""
        logging.getLogger(_SNAKEMAKE).removeFilter(self._before_jobs)
        if self._display is not None:
            self._display.close()
            self._display = None
        super().close()

    def _before_jobs(self, record: logging.LogRecord) -> bool:
        """Open the display in Snakemake's own thread, because :meth:`emit` may run late in another.

        A job that started before the display would print into it.
        """
        if getattr(record, "event", None) == LogEvent.RUN_INFO and self._display is None:
            try:
                self._display = self._open(record.__dict__.get("stats") or {})
            except Exception:
                self.handleError(record)  # the run continues with one line for each evaluation
        return True

    def _open(self, stats: dict[str, int]) -> Display | None:
        """Return a display, if there are evaluations to show and a terminal."""
        settings = self.common_settings
        matrix = getattr(sys.modules.get("snakeval.dag.open"), "opened", None)
        if settings.quiet or settings.dryrun or matrix is None or not stats.get(EVALUATE):
            return None
        # Only a display needs rich.
        from snakeval.watch.display.terminal import usable

        if not usable():
            return None
        from snakeval.watch.display.display import Display

        return Display(tally_of(matrix, stats.get(DEPLOY, 0)), color=not settings.nocolor)

    def _text(self, record: logging.LogRecord, event: LogEvent | None) -> str:
        quiet = bool(self.common_settings.quiet)
        data: dict[str, Any] = record.__dict__
        if event in (LogEvent.JOB_INFO, LogEvent.JOB_FINISHED, LogEvent.JOB_ERROR):
            return self._job(event, data, quiet)
        if event == LogEvent.GROUP_ERROR and self._display is not None:
            for job in data.get("job_error_info") or ():
                self._display.fail(job["jobid"])
        if event == LogEvent.RUN_INFO:
            return "" if quiet else self._to_do(data.get("stats") or {})
        if event == LogEvent.SHELLCMD:
            return record.getMessage() if self.common_settings.printshellcmds else ""
        if event not in (None, LogEvent.ERROR):
            return ""
        text = record.getMessage()
        if job := next((job for job in self._jobs.values() if job.runs(text)), None):
            # Python's words after the command: "died with <Signals.SIGKILL: 9>."
            how = text.rstrip().rpartition("' ")[2]
            return "" if job.reported else f"{job.id} failed: its job {how}"
        if text.startswith(_NOTHING) and not self.common_settings.dryrun:
            text = self._table(text)
        if record.levelno < logging.WARNING and (quiet or not text.strip()):
            return ""
        is_noise = _SCRIPT.search(text) or text.strip().startswith(_NOISE) or _NO_METADATA in text
        return "" if is_noise else text

    def _table(self, text: str) -> str:
        """Print the table of a run with nothing to do, for which Snakemake calls no hook.

        Also deliver alarms that an earlier command could not deliver.
        """
        matrix = getattr(sys.modules.get("snakeval.dag.open"), "opened", None)
        if matrix is None or not (shown := matrix.end.shown()):
            return text
        print(f"\n{shown}", flush=True)
        matrix.end.alarm()
        return f"{_NOTHING}: all evaluations are done"

    def _job(self, event: LogEvent, data: dict[str, Any], quiet: bool) -> str:
        """Return a job's line, or nothing if a display shows the job."""
        jobid = data["job_id" if event == LogEvent.JOB_FINISHED else "jobid"]
        if event == LogEvent.JOB_INFO:
            self._jobs[jobid] = job = Job.of(data)
            if self._display is not None:
                if job.shown:
                    self._display.start(jobid, *job.subject, deploys=job.rule == DEPLOY)
                return ""
            return "" if quiet or not job.rule else f"{job}{f'  ({job.why})' if job.why else ''}"
        ended = self._jobs.pop(jobid, Job("a job"))
        if event == LogEvent.JOB_FINISHED:
            if self._display is not None:
                self._display.finish(jobid)
                return ""
            return "" if quiet else self._finished(ended)
        if self._display is not None:
            self._display.fail(jobid)
            return ""
        refusal = ended.refusal
        if not refusal:
            return "" if ended.printed else ended.problem or f"{ended}  FAILED"
        # A retry of a job that the executor refuses usually has the same reason.
        again = self._refusals.get(ended.id) == refusal
        self._refusals[ended.id] = refusal
        return f"{ended}  FAILED{' again, with the same reason' if again else f': {refusal}'}"

    def _finished(self, job: Job) -> str:
        if job.rule != EVALUATE:
            return f"{job}  done" if job.rule else ""
        self._done += 1
        return f"{job}  done, {self._done} of {self._total}"

    def _to_do(self, stats: dict[str, int]) -> str:
        """Return what a run will do, once: a dry run reports it twice."""
        if self._total is not None:
            return ""
        self._total = stats.get(EVALUATE, 0)
        jobs = [f"{count} {rule}" for rule, count in stats.items() if rule not in ("total", "all")]
        return f"To do: {', '.join(jobs)}" if jobs else ""

    @property
    def writes_to_stream(self) -> bool:
        """Yes: to standard error, instead of Snakemake's own handler."""
        return True

    @property
    def writes_to_file(self) -> bool:
        """No: Snakemake keeps its own log file."""
        return False

    @property
    def has_filter(self) -> bool:
        """Yes: :meth:`emit` decides."""
        return True

    @property
    def has_formatter(self) -> bool:
        """Yes."""
        return True

    @property
    def needs_rulegraph(self) -> bool:
        """No."""
        return False


def _configfiles(arguments: list[str]) -> list[str]:
    """Return the values of ``--configfile``, which takes several."""
    names: list[str] = []
    taking = False
    for argument in arguments:
        if argument.startswith("-"):
            option, equals, value = argument.partition("=")
            taking = option in {"--configfile", "--configfiles"} and not equals
            if option in {"--configfile", "--configfiles"} and equals:
                names.append(value)
        elif taking:
            names.append(argument)
    return names
