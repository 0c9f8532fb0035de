"""The job that starts a model's server early: ``python -m snakeval.jobs.deploy RECORD``.

It waits until the server is ready and leaves it to the pool, which keeps it for the evaluations
that follow. They do not trust its record: each ensures that the server lives. Where nothing of the
model is missing, nothing is started; where other models have the GPUs, the first evaluation will
start it.
"""

from __future__ import annotations

import os
import signal

if __name__ == "__main__":
    # Until `worker.run` takes over: a Ctrl-C while the rest is imported is no traceback.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.evaluation.record import now
from snakeval.files import write_atomically
from snakeval.jobs import run_job
from snakeval.serving import client
from snakeval.serving.plan import Plan


def main(arguments: list[str] | None = None) -> int:
    """Run the job; return 0, 1 (failed, with a reason) or 130 (interrupted)."""
    parser = argparse.ArgumentParser(prog="python -m snakeval.jobs.deploy", description=__doc__)
    parser.add_argument("record", type=Path, help="the record to write")
    parser.add_argument("--log", type=Path, required=True, help="where its progress goes, too")
    parser.add_argument("--head", type=int, default=0, help="pid for which the model is served")
    options = parser.parse_args(arguments)
    directory = EvaluationDirectory(options.record.parent)
    name, run = options.record.parent.parent.name, options.record.parents[2]

    def report(text: str) -> None:
        print(f"{name}: {text}", file=sys.stderr, flush=True)
        with options.log.open("a", encoding="utf-8") as log:
            log.write(f"{now()} {text}\n")

    def work(stop: Event) -> int:
        options.log.write_text("", encoding="utf-8")
        record = _deploy(Plan.read(run, name), run, options.head or os.getpid(), stop, report)
        directory.failure.unlink(missing_ok=True)
        write_atomically(options.record, json.dumps({"deployment": name, "time": now(), **record}))
        return 0

    return run_job.run(directory, directory.path / "server.log", options.head, work)


def _deploy(
    plan: Plan, run: Path, head: int, stop: Event, report: Callable[[str], None]
) -> dict[str, object]:
    if all(
        EvaluationDirectory(run / evaluation).completion(fingerprint)
        for evaluation, fingerprint in plan.evaluations
    ):
        return {"state": "not needed: all its evaluations are complete"}
    started, name = time.monotonic(), plan.name
    try:
        with client.serve(
            run,
            (name,),
            who=f"{name}/deployment",
            head=client.head_of(head),
            stop=stop,
            report=report,
            eager=True,
        ) as servers:
            server = servers[name]
            seconds = round(time.monotonic() - started, 1)
            report(f"ready at {server.url} ({server.runtime}) after {seconds} s")
            return {"state": "ready", "seconds": seconds, "url": server.url, "log": server.log}
    except client.Busy as busy:
        report(f"{busy}; its first evaluation will start it")
        return {"state": f"not started: it {busy}"}


if __name__ == "__main__":
    sys.exit(main())
