"""Runs the harness of an attempt once, while the models that it asks are served."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event

from snakeval.errors import EvaluationError
from snakeval.evaluation import events, timings
from snakeval.evaluation.attempts import AttemptDirectory, Failure
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.progress_lines import say
from snakeval.evaluation.record import now
from snakeval.evaluation.requests import given_up_in_pause, unanswered, was_paused
from snakeval.jobs.attempt_log import AttemptLog
from snakeval.jobs.container import container
from snakeval.jobs.gateway import ask_through_gateway
from snakeval.jobs.probe import require_reachable
from snakeval.jobs.served_models import Serving, serve_models
from snakeval.jobs.stored_answers import note_stale
from snakeval.matrix.benchmark_files import private_copy, require_snapshot
from snakeval.run.directory import RunDirectory
from snakeval.runtimes import Outcome, Runtime
from snakeval.runtimes.secrets_in_logs import blotting

#: How often an attempt resumes after its servers broke.
_BREAKS = 10
#: How often an attempt repeats in a row because its gateway ended.
_DEATHS = 2


@dataclass(frozen=True, slots=True)
class Ran:
    """How the harness of an attempt ended.

    Attributes:
        urls: the routes of the models that snakeval served, by name.
        versions: their images with the images' digests, by name.
        is_broken: whether a server was lost before the harness ended, so the results are invalid.
        reaches: whether the harness is known to reach its gateway, if it has one.
        why_dead: why the gateway ended before the harness, so the results are invalid.
        used_up: whether it ended since the run's budget is used up.
    """

    outcome: Outcome
    started: str
    seconds: float
    image: str
    image_digest: str
    urls: Mapping[str, str]
    versions: Mapping[str, str]
    is_broken: bool
    why_dead: str = ""
    reaches: bool = True
    used_up: bool = False

    @property
    def is_valid(self) -> bool:
        """Whether everything that the harness asked was there until it ended."""
        return not (self.is_broken or self.why_dead)


def run_harness(
    evaluation: Evaluation,
    directory: EvaluationDirectory,
    attempt: AttemptDirectory,
    runtime: Runtime,
    log: AttemptLog,
    head: int,
    ending: Event,
) -> Ran:
    """Serve the models, and run the harness to its end or until *ending*.

    Raises:
        EvaluationError: the benchmark's files changed, or the harness cannot start.
    """
    run = RunDirectory.of(directory).name
    invalid = partial(attempt.fail, Failure("lost its model server", invalid=True))
    with (
        with_files(evaluation, attempt, runtime) as evaluation,
        serve_models(evaluation, directory, head, ending, log, invalid) as serving,
    ):
        servers = serving.servers
        urls = {name: server.url for name, server in (servers or {}).items()}
        direct = spec = container(evaluation, directory, runtime, run, urls, attempt)
        image_digest = runtime.prepare(spec, partial(_prepares, log))
        same = (evaluation, directory, runtime, urls, serving.halt)
        gateway = ask_through_gateway(*same, partial(_lose_gateway, attempt, log), log.say)
        with gateway as asked:
            if asked is not None:
                serving.move = asked.move
                spec = container(evaluation, directory, runtime, run, urls, attempt, asked)
            spec = servers.with_gpus(spec, runtime.name) if servers is not None else spec
            reaches = asked is None or require_reachable(directory, runtime, spec, asked, log)
            attempt.forget_failure()
            started, clock = now(), time.monotonic()
            used = timings.use(log.journal, directory.attempt_log(attempt.number))
            with used as using, blotting(spec, log.file, direct):
                outcome = runtime.run(spec, log.file, (asked or serving).halt)
                using.exit_code = outcome.exit_code
            seconds = time.monotonic() - clock
            # A harness may end, and count wrong answers, before the pool notices a dead server.
            why = serving.servers.why_broken() if serving.servers and not ending.is_set() else ""
            if why and (_is_stale(serving, directory) or asked is None):
                serving.lose(why)
            serving.leave()
    if asked is not None and not ending.is_set():
        _require_answers(serving, directory, asked.gateway.pid, log, broke=bool(why))
    versions = {name: server.version for name, server in (serving.servers or {}).items()}
    return Ran(
        outcome,
        started,
        seconds,
        evaluation.identity.image,
        image_digest,
        urls,
        versions,
        serving.lost.is_set(),
        asked.why_dead if asked is not None else "",
        reaches,
        asked is not None and asked.gateway.used_up,
    )


def _is_stale(serving: Serving, directory: EvaluationDirectory) -> bool:
    """Whether a server had other weights. A note has its answers requested again."""
    if serving.servers is None or not serving.servers.is_stale:
        return False
    note_stale(directory, serving.servers)
    return True


@contextmanager
def with_files(
    evaluation: Evaluation, attempt: AttemptDirectory, runtime: Runtime
) -> Iterator[Evaluation]:
    """Yield *evaluation* with files that this harness alone can change, if it has any.

    A container cannot write to them.
    """
    if not (files := evaluation.transport.files):
        yield evaluation
    elif runtime.isolated:
        require_snapshot(Path(files))
        yield evaluation
    else:
        with private_copy(Path(files), attempt.path) as copy:
            transport = replace(evaluation.transport, files=str(copy.resolve()))
            yield replace(evaluation, transport=transport)


#: The beginnings of reports on what takes minutes; reports on each layer begin otherwise.
_SLOW = ("pulling ", "converting ", "building ")


def _prepares(log: AttemptLog, text: str) -> None:
    """Note the progress of an image or an environment; also print what takes minutes."""
    log.tell(events.Event("preparing", detail=text))
    if text.startswith(_SLOW):
        say(text)


def _require_answers(
    serving: Serving, directory: EvaluationDirectory, gateway: int, log: AttemptLog, *, broke: bool
) -> None:
    """Find results invalid that lack answers, after a break of a server or a pause of the gateway.

    The harness may count as wrong answers what a sick server answered, and the requests that it
    gave up while they waited for the server. All its other answers are sound. An unknown count, of
    a process *gateway* without a last summary, is one as well.
    """
    if given_up := given_up_in_pause(directory):
        log.say(f"the harness gave up {given_up} requests while its gateway stood still")
        serving.lost.set()
    if not (broke or serving.losses or was_paused(directory)) or serving.lost.is_set():
        return
    if (count := unanswered(directory, gateway)) != 0:
        which = count or "some"
        log.say(f"{which} requests once had no sound answer, since their server or gateway broke")
        serving.lost.set()


def _lose_gateway(attempt: AttemptDirectory, log: AttemptLog, reason: str) -> None:
    # The full disk that ended the gateway also refuses the note. This job needs none.
    with suppress(OSError):
        attempt.fail(Failure("lost its gateway", invalid=True))
        log.tell(events.Event("lost", detail=f"lost its gateway: {reason}"))


def require_few(breaks: int, deaths: int, why_dead: str) -> None:
    """Require that an attempt did not lose its servers or its gateway too often.

    Raises:
        EvaluationError: it did.
    """
    if deaths > _DEATHS:
        raise EvaluationError(f"its gateway ended {deaths} times in a row: {why_dead}")
    if breaks > _BREAKS:
        raise EvaluationError(f"its servers or gateway broke {breaks} times in one attempt")
