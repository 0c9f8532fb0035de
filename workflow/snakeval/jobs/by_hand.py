"""Runs the harness of an evaluation through a gateway, for a person who starts its ``run.sh``.

The harness writes to ``by-hand/``, and the gateway has a journal of its own, which begins with a
copy of the stored answers of the evaluation. The results and counts of the evaluation do not
change, and the budget of the run does not count these requests.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import IO, Any

from snakeval.errors import EvaluationError, Interrupted
from snakeval.evaluation.attempts import AttemptDirectory
from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.requests import answer_identity, models_of
from snakeval.jobs.container import container, installable
from snakeval.jobs.gateway import pausing, run_gateway, upstreams
from snakeval.jobs.run_harness import with_files
from snakeval.ledger import summary
from snakeval.ledger.borrowed import borrow
from snakeval.ledger.summary import folder_of
from snakeval.run.directory import RunDirectory
from snakeval.runtimes import blocking, choose
from snakeval.runtimes.secrets_in_logs import secrets_of

FAILED, INTERRUPTED = 1, 130
#: How long a request waits for a server that the person has not started, in seconds.
_DEADLINE = 60.0


def main(arguments: list[str] | None = None) -> int:
    """Run it; return the exit code of the harness, 1 if it cannot start, or 130."""
    parser = argparse.ArgumentParser(prog="python -m snakeval.jobs.by_hand")
    parser.add_argument("directory", type=Path, help="of the evaluation")
    parser.add_argument("--served", nargs=2, action="append", default=[], metavar=("NAME", "URL"))
    options = parser.parse_args(arguments)
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    try:
        with blocking.ended_by(stop):
            directory = EvaluationDirectory(options.directory)
            code = run(directory, dict(options.served), stop, sys.stdout.buffer)
    except Interrupted:
        return INTERRUPTED
    except (EvaluationError, OSError) as error:
        if stop.is_set():
            return INTERRUPTED
        print(f"snakeval: {error}", file=sys.stderr)
        print("hint: SNAKEVAL_LEDGER=off asks the endpoint without a gateway", file=sys.stderr)
        return FAILED
    return INTERRUPTED if stop.is_set() else code


def run(
    directory: EvaluationDirectory, served: Mapping[str, str], stop: Event, out: IO[bytes]
) -> int:
    """Run the harness until its end or *stop*, print to *out*, and return its exit code.

    *served* has the URLs of the models that the person serves.

    Raises:
        EvaluationError: the harness or its gateway cannot start, or the gateway died.
        OSError: a file cannot be written.
    """
    evaluation = directory.read_evaluation()
    transport, name = evaluation.transport, RunDirectory.of(directory).name
    runtime, _ = choose(transport.runtime, evaluation.identity.image, installable(evaluation))
    place = ByHand(directory.requests_by_hand.parent)
    for folder in (place.path, place.artifacts):
        folder.mkdir(parents=True, exist_ok=True)
    with with_files(evaluation, place, runtime) as evaluation:
        direct = container(evaluation, directory, runtime, name, served, place)
        runtime.prepare(direct, lambda text: print(text, file=sys.stderr))
        _bring_answers(evaluation, directory, stop)
        asks = _upstreams(evaluation, served)
        requests, mode = directory.requests_by_hand, transport.ledger
        with run_gateway(evaluation, requests, asks, runtime, stop, mode=mode) as asked:
            spec = container(evaluation, directory, runtime, name, served, place, asked)
            # The attempt of a job ends what has its own name.
            spec = replace(spec, name=f"{spec.name}-by-hand")
            with _blotted(out, secrets_of(spec, direct)) as log:
                outcome = runtime.run(spec, log, asked.halt)
    if asked.why_dead:
        raise EvaluationError(asked.why_dead)
    return outcome.exit_code


class ByHand(AttemptDirectory):
    """The place of what the gateway and the harness need, in the evaluation's hidden folder."""

    __slots__ = ()

    @property
    def artifacts(self) -> Path:
        """The directory ``by-hand/`` of the evaluation."""
        return EvaluationDirectory(self.path.parent.parent).by_hand


def _upstreams(evaluation: Evaluation, served: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    found = upstreams(evaluation, served)
    for name in served.keys() & found.keys():
        found[name]["deadline"] = _DEADLINE
    return found


def _bring_answers(evaluation: Evaluation, directory: EvaluationDirectory, stop: Event) -> None:
    """Copy the stored answers of the evaluation, once: its own files never change.

    Raises:
        EvaluationError: a journal cannot be read.
        Interrupted: *stop* was set while another ``run.sh`` of the evaluation worked.
    """
    if evaluation.transport.ledger != "on":
        return
    summary.wait_for_end(directory.requests_by_hand / "gateway", pausing(stop))
    try:
        for name, model in models_of(evaluation).items():
            folder = folder_of(directory.requests_by_hand, name)
            lender = folder_of(directory.requests.absolute(), name)
            borrow(folder, answer_identity(model), [lender])
    except ValueError as error:
        raise EvaluationError(f"{directory.requests}: cannot be read ({error})") from None


@contextmanager
def _blotted(out: IO[bytes], secrets: Collection[bytes]) -> Iterator[IO[bytes]]:
    """Yield a file whose lines appear in *out* with stars in place of *secrets*."""
    reading, writing = os.pipe()

    def copy() -> None:
        with os.fdopen(reading, "rb") as lines:
            for line in lines:
                for secret in secrets:
                    line = line.replace(secret, b"*" * len(secret))
                out.write(line)
                out.flush()

    copying = threading.Thread(target=copy)
    copying.start()
    try:
        with os.fdopen(writing, "wb") as log:
            yield log
    finally:
        copying.join()


if __name__ == "__main__":
    sys.exit(main())
