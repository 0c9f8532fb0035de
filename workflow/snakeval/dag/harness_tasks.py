"""Asks the harness of this machine, before a run starts, whether it has the tasks to do.

The catalogue lists the tasks that people use most, and lm-evaluation-harness has thousands more.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Collection
from pathlib import Path

from snakeval.errors import ConfigError, EvaluationError
from snakeval.evaluation.definition import Evaluation
from snakeval.files import DAMAGE, json_value
from snakeval.harnesses import lm_eval_tasks
from snakeval.jobs.container import installable
from snakeval.run.pins import pinned_name
from snakeval.runtimes import Runtime, choose
from snakeval.runtimes.spec import ContainerSpec

#: Runtimes that start a command on this machine at once.
_QUICK = ("process", "docker", "podman", "apptainer")
#: Variables that a program requires to start. The harness gets no other one.
_VARIABLES = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DOCKER_HOST")
#: No harness answers in less.
_LEAST_SECONDS = 1.0


class HarnessTasks:
    """The harnesses of one command, which answer within *seconds* in all.

    A harness without an environment or an image on this machine is not asked.
    """

    def __init__(
        self,
        seconds: float,
        chosen: Callable[[str, str, bool], tuple[Runtime, str]] = choose,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._until, self._chosen, self._clock = clock() + seconds, chosen, clock
        self._answers: dict[tuple[object, ...], frozenset[str]] = {}

    def of(self, evaluation: Evaluation) -> frozenset[str]:
        """Return the names of the harness's tasks; empty if it cannot be asked."""
        transport, identity = evaluation.transport, evaluation.identity
        image = pinned_name(identity.image, identity.image_digest)
        key = (transport.runtime, image, transport.requirements, identity.packages)
        if key not in self._answers:
            self._answers[key] = frozenset(self._ask(evaluation, image))
        return self._answers[key]

    def _ask(self, evaluation: Evaluation, image: str) -> Collection[str]:
        if self._left() < _LEAST_SECONDS:
            return ()
        try:
            runtime, _ = self._chosen(evaluation.transport.runtime, image, installable(evaluation))
            spec = _spec(evaluation, image, inside=runtime.isolated)
            if runtime.name not in _QUICK or not (runtime.isolated or spec.requirements):
                return ()
            return self._run(runtime, spec) if runtime.has(spec) else ()
        except (ConfigError, EvaluationError, OSError):
            return ()  # the run reports what does not work

    def _run(self, runtime: Runtime, spec: ContainerSpec) -> Collection[str]:
        stop = threading.Event()
        timer = threading.Timer(max(0.0, self._left()), stop.set)
        timer.daemon = True
        timer.start()
        try:
            with tempfile.TemporaryFile() as log:
                runtime.run(spec, log, stop)
                log.seek(0)
                return _names(log.read().decode(errors="replace"))
        finally:
            timer.cancel()

    def _left(self) -> float:
        return self._until - self._clock()


def _names(text: str) -> Collection[str]:
    for line in text.splitlines():
        if line.startswith(lm_eval_tasks.MARK):
            try:
                found = json_value(line[len(lm_eval_tasks.MARK) :].encode())
            except DAMAGE:
                return ()
            return found if isinstance(found, list) else ()
    return ()


def _spec(evaluation: Evaluation, image: str, *, inside: bool) -> ContainerSpec:
    program = Path(lm_eval_tasks.__file__).read_text(encoding="utf-8")
    return ContainerSpec(
        name=f"snakeval-tasks-{uuid.uuid4().hex[:12]}",
        image=image,
        argv=("python3", "-I", "-c", program),
        workdir="/tmp" if inside else tempfile.gettempdir(),
        env={"HOME": "/tmp"} if inside else {},
        grace=1,
        requirements=evaluation.transport.requirements,
        packages=evaluation.identity.packages,
        environ={name: os.environ[name] for name in _VARIABLES if name in os.environ},
    )
