"""Opens the matrix of a Snakemake workflow."""

from __future__ import annotations

import gc
import os
import re
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from snakemake_interface_executor_plugins.settings import SharedFSUsage

from snakeval.config.composed import composed_of, names
from snakeval.config.config import Config
from snakeval.config.load import Selection, as_written, load, load_saved
from snakeval.config.usual import SHARED, usual
from snakeval.dag import handover
from snakeval.dag.cores import use_cores_of_job
from snakeval.dag.invocation import Invocation
from snakeval.dag.matrix import Matrix
from snakeval.dag.planning import CHECK, executor_of
from snakeval.dag.preflight import check, make_way_for_directories
from snakeval.dag.read_only import plan_without_writing
from snakeval.dag.shared_metadata import tolerate_another_snakemake
from snakeval.dag.workplace import require_workplace
from snakeval.errors import ConfigError
from snakeval.evaluation.progress_lines import QUIET, say
from snakeval.run.find import OtherDefinitionError
from snakeval.run.saved import SavedInvocation
from snakeval.series.load import Expansion

#: Passes the name of the run's directory to the Snakemake processes of jobs.
_RUN = "SNAKEVAL_RUN"
#: The matrix of this process. The logger plugin reads it, since Snakemake passes it nothing.
opened: Matrix | None = None


def open_matrix(workflow: Any) -> Matrix:
    """Return the matrix of a Snakemake workflow's ``--configfile`` files and ``--config`` values.

    Without files, the configuration of the working directory (:func:`snakeval.config.usual.usual`),
    or else ``config/config.yaml`` of the Snakefile's.

    Raises:
        SystemExit: bad input; the message has a line for each problem and its fix.
    """
    settings = workflow.config_settings
    files = [_shown(Path(path)) for path in settings.configfiles]
    if not files:
        files = [usual() or Path(workflow.basedir) / SHARED]
    _set_environment(workflow)
    try:
        _check_workplace(workflow)
        values = as_written(settings.config or {}, settings.config_args or ())
        # A job finds no offer, since it is no child of the command.
        checked = handover.take(files, values)
        invocation = None if workflow.is_main_process else _of_job(files, values)
        if invocation is None:
            if checked is not None:
                config, selection = checked.config, checked.selection
            else:
                config, selection, _ = load(files, values, _expansion(workflow, values))
            try:
                invocation = _planned(workflow, config, selection, files, is_checked=bool(checked))
            except ConfigError as error:
                raise error.within(names(files)) from None
    except ConfigError as error:
        lines = "\n".join(f"snakeval: {problem}" for problem in error.problems)
        if isinstance(error, OtherDefinitionError):
            print(lines, file=sys.stderr)
            raise SystemExit(2) from None
        raise SystemExit(lines) from None
    if workflow.is_main_process:
        limits = workflow.resource_settings
        invocation.share(max(1, limits.nodes or limits.cores or 1))
    matrix = Matrix(invocation, workflow)
    if workflow.is_main_process:
        _preflight(workflow, matrix, files)
    if workflow.is_main_process:
        tolerate_another_snakemake()
        os.environ[_RUN] = Path(matrix.run).name
        if not workflow.output_settings.dryrun:
            _pass_to_jobs(workflow, invocation)
        else:
            plan_without_writing(invocation.directory.path)
        # Planning creates millions of objects that all stay. At 10,000 evaluations the garbage
        # collector, which looks at them again and again, took a sixth of the time.
        gc.set_threshold(100_000, 20, 20)
        for line in matrix.notes():
            say(line)
    global opened
    opened = matrix
    return matrix


def _set_environment(workflow: Any) -> None:
    """Set what the jobs on this machine inherit."""
    use_cores_of_job(workflow, os.environ)
    if any(each.name == "ALL" for each in workflow.output_settings.quiet or ()):
        os.environ[QUIET] = "1"
    if (gpus := workflow.global_resources.get("gpu").value) is not None:
        os.environ["SNAKEVAL_GPUS"] = str(gpus)  # for the pool, which allots them
    # In the rules, `python` is the interpreter that runs Snakemake, active or not.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def _expansion(workflow: Any, values: Mapping[str, Any]) -> Expansion:
    """Return how this process makes models of series. Only a start looks twice at checkpoints."""
    if not workflow.is_main_process:
        return Expansion(waits=False)

    looks = only_looks(workflow, sys.argv)
    if looks and not (os.environ.get(CHECK) or str(values.get("check", "")).lower() == "true"):
        return Expansion(waits=False, say=say)
    from snakeval.dag.endpoints import listed  # a start only, or a dry run that checks

    return Expansion(waits=not looks, say=say, listed=listed)


def _check_workplace(workflow: Any) -> None:
    if workflow.is_main_process:
        starts = not only_looks(workflow, sys.argv)
        if starts or workflow.output_settings.dryrun:
            require_workplace(starts=starts)


def _planned(
    workflow: Any, config: Config, selection: Selection, files: Sequence[Path], *, is_checked: bool
) -> Invocation:
    """Return the command of a configuration from *files*; claim its run if it starts one."""
    if not workflow.is_main_process and (chosen := os.environ.get(_RUN)):
        # The head's run: `run=new` or a newer run would be another one.
        selection = selection.model_copy(update={"run": chosen})
    sources = [source for file in files for source in composed_of(file)]
    starts = workflow.is_main_process and not only_looks(workflow, sys.argv)
    invocation = Invocation(config, selection, sources, starts=starts)
    if workflow.is_main_process:
        make_way_for_directories(invocation, starts=starts)
        if not is_checked:
            _check(invocation, starts)
    return _noted(invocation.reserved()) if starts else invocation


def _noted(invocation: Invocation) -> Invocation:
    """Note the checkpoints of a command that continues its run; plan again if another was first.

    Heads that start at the same time may find equal weights, of which only one is evaluated.
    """
    if not invocation.run.exists:
        return invocation  # nothing else works at the run, and its start notes them
    try:
        with suppress(OSError):  # the start says what cannot be written
            invocation.checkpoints.note(invocation.directory)
    except ConfigError:
        config, selection, starts = invocation.config, invocation.selection, invocation.facts.starts
        return Invocation(config, selection, invocation.files, starts=starts, run=invocation.run)
    return invocation


def _check(invocation: Invocation, starts: bool) -> None:
    """Check what would fail later; variables only if the executor's jobs get them from here.

    Raises:
        ConfigError: one line a problem.
    """
    try:
        check(invocation, starts=starts)
    except ConfigError:
        # Snakemake knows its executor only after it has read the rules, and to find it takes time.
        if executor_of(sys.argv[1:]).reads_variables:
            raise
        check(invocation, starts=starts, reads_variables=False)


def _preflight(workflow: Any, matrix: Matrix, files: Sequence[Path]) -> None:
    """Ask the endpoints if this Snakemake starts jobs, or a dry run checks them.

    Raises:
        SystemExit: no evaluation can start.
    """
    selection = matrix.invocation.selection
    if selection.check:
        os.environ[CHECK] = "1"
    starts, looks = matrix.invocation.facts.starts, workflow.output_settings.dryrun
    if not selection.preflight or not (starts or (looks and os.environ.get(CHECK))):
        return
    from snakeval.dag import endpoints  # a start only

    until = time.monotonic() + endpoints.SECONDS
    remote = workflow.resource_settings.nodes is not None
    try:
        count = endpoints.refuse_wrong_endpoints(
            matrix.invocation, matrix.reruns.is_missing, remote=remote
        )
    except endpoints.WrongEndpointsError as error:
        for each in error.within(names(files)).problems:
            print(f"snakeval: {each}", file=sys.stderr)
        skip = "--no-preflight (snakemake: --config preflight=false) skips this check"
        print(f"snakeval: nothing has started; {skip}", file=sys.stderr)
        raise SystemExit(2) from None
    if looks and count:
        say(f"Endpoints: {count} asked")
    _warn(matrix, until - time.monotonic(), starts=starts and not remote)


def _warn(matrix: Matrix, seconds: float, *, starts: bool) -> None:
    """Print what the evaluations to do lack on this machine.

    Only a command that *starts* jobs here asks harnesses and engines. Endpoints and harnesses have
    *seconds* to answer.
    """
    from snakeval.dag.endpoints import Tokenizers
    from snakeval.dag.harness_tasks import HarnessTasks
    from snakeval.dag.needs import lacking

    missing = matrix.missing
    tokenizers = Tokenizers(matrix.invocation.config, seconds)
    tasks = HarnessTasks(seconds if starts else 0)
    snapshots = matrix.invocation.facts.snapshots
    found = lacking(missing, os.environ, tokenizers.answers, tasks.of, snapshots)
    if starts and any(evaluation.identity.image for evaluation in missing):
        from snakeval.dag.needed_images import lacking_images

        found += lacking_images(missing)
    for problem in found:
        print(f"snakeval: warning: {problem}", file=sys.stderr)


def _pass_to_jobs(workflow: Any, invocation: Invocation) -> None:
    """Let the Snakemake in a job read what this command saves, on every executor.

    The user may edit the configuration meanwhile, and an executor may pass no environment.
    """
    settings = workflow.config_settings
    pairs = [pair for pair in settings.config_args or () if not pair.startswith("run=")]
    settings.config_args = [*pairs, f"run={invocation.directory.name}"]
    if SharedFSUsage.SOURCES in workflow.storage_settings.shared_fs_usage:
        settings.configfiles = [invocation.saved.config.absolute()]


def _of_job(files: Sequence[Path], overrides: Mapping[str, Any]) -> Invocation | None:
    """Return the command of this job, by what it saved; None if its definitions are damaged.

    Raises:
        ConfigError: its configuration cannot be read.
    """
    saved = SavedInvocation.of_config(files[0].absolute()) if len(files) == 1 else None
    if saved is None:
        return None  # a job that an earlier version submitted, or without a shared file system
    return Invocation.of_saved(saved, *load_saved(saved.config, overrides))


#: Options of Snakemake with which no job runs.
_LOOKS = re.compile(
    r"-[SDlt]|--(lint|summary|detailed-summary|unlock|report|list.*|l[tcipu]|dag|rulegraph"
    r"|filegraph|d3dag|cleanup-metadata|delete-all-output|delete-temp-output|touch|containerize"
    r"|archive|conda-create-envs-only|conda-cleanup-envs)"
)


def only_looks(workflow: Any, words: Sequence[str]) -> bool:
    """Whether this Snakemake runs no job, by its settings and its command line."""
    dryrun = bool(getattr(workflow.output_settings, "dryrun", False))
    return dryrun or any(_LOOKS.fullmatch(word.partition("=")[0]) for word in words)


def _shown(path: Path) -> Path:
    """Shorten a path below the working directory, as people write it."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
