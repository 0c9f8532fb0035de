"""One model server: starts, gets ready, serves, ends. The pool reads its state."""

from __future__ import annotations

import os
import re
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import IO, Any

from snakeval.errors import EvaluationError, Interrupted
from snakeval.evaluation import timings
from snakeval.evaluation.events import Journal
from snakeval.ledger.plain_text import listed
from snakeval.logs import last_error, tail_lines
from snakeval.processes import run_child
from snakeval.runtimes import Outcome, Runtime, blocking, choose, srun
from snakeval.runtimes.secrets_in_logs import blotting
from snakeval.runtimes.spec import ContainerSpec
from snakeval.serving import gpus, node_process, nodes, ports, probe, vigil
from snakeval.serving.container import container, installed
from snakeval.serving.deployment import MARK, Deployment, Nodes, server_name
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.gpus import Locks, with_gpus
from snakeval.serving.loaded import why_changed
from snakeval.serving.nodes import Place
from snakeval.serving.server_end import why_ended
from snakeval.serving.vigil import PATIENCE, Patience, Vigil

#: How often a server that loads is asked whether it is ready, in seconds.
_PROBE_SECONDS = 0.25
#: How often waiting clients get its progress, in seconds.
_TELL_SECONDS = 5.0
#: If the list of models lacks the model this long after the health path is well, it is wrong.
_UNLISTED_SECONDS = 3.0
#: How long a server that loads has for an answer, in seconds.
_ANSWER_SECONDS = 5.0
_PORT_TRIES = 3
#: How much longer than a container a task may take to end.
_STEP_SECONDS = 5
_IN_USE = re.compile(r"address already in use|EADDRINUSE|Errno 98|Errno 48", re.IGNORECASE)


class Server:
    """A deployment's server, run by a thread of its own; or one instance of it, by its *name*.

    If *place* names hosts, the server is a step of the Slurm job, with a task on each of them.
    ``state`` is starting, ready, unhealthy or ended. ``reason`` says why the server ended if the
    pool did not stop it, ``progress`` how far it is. It calls *changed* after each change.
    ``faults`` counts breaks that its clients may have noticed, although it serves; ``fault`` is the
    last one.
    """

    faults, fault = 0, ""
    _vigil: Vigil

    def __init__(
        self,
        deployment: Deployment,
        place: Place,
        directory: DeploymentDirectory,
        environ: Mapping[str, str],
        taken_ports: Callable[[], set[int]],
        changed: Callable[[], None],
        name: str = "",
        *,
        patience: Patience = PATIENCE,
        locks: Locks | None = None,
    ) -> None:
        self.deployment = deployment
        self.locks = locks or Locks()
        self.patience = patience
        self.places: tuple[Place, ...] = (place,)
        self.gpu_ids = place.gpu_ids
        self.address = "127.0.0.1"
        self.port = deployment.serving.port
        self.state = "starting"
        self.reason = ""
        self.progress = ""
        self.runtime = ""
        self.image_digest = ""
        self.was_ready = False
        self.stopping = False
        self._given_up = ""
        self.log = directory.server_log
        self._place = place
        self._name = name or server_name(deployment)
        self._directory = directory
        self._journal = Journal(directory.events)
        self._environ = environ
        self._taken_ports = taken_ports
        self._changed = changed
        self._end = threading.Event()
        self._gone = threading.Event()
        self._examining = threading.Lock()
        self._telling = threading.Lock()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def start(self) -> None:
        """Start it."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; it does within its grace period, and is not to be used any more."""
        self.stopping = True
        self._end.set()

    def described(self) -> dict[str, Any]:
        """Return it as :class:`snakeval.serving.client.Served`."""
        image = self.deployment.definition.image if self.runtime != "process" else "process"
        return {
            "url": self.deployment.route_url(self.port, self.address),
            "runtime": self.runtime,
            "version": f"{image}@{self.image_digest}" if self.image_digest else image,
            "gpus": self.gpu_ids,
            "log": str(self.log),
        }

    @property
    def url(self) -> str:
        """The URL of the server itself."""
        return self.deployment.base_url(self.port, self.address)

    @property
    def instances(self) -> list[str]:
        """The state of each instance: it is the only one."""
        return [self.state]

    def check(self) -> str:
        """Ask a ready server for its health; return what is wrong with it, or nothing.

        A server that stays wrong ends as if it had died, so its clients get another one.
        """
        wrong = silent = 0
        with self._examining:
            while self.state == "ready" and not self._end.is_set():
                health = self._examine(self.patience.seconds)
                if self._vigil.is_replaced():
                    self._notice(vigil.REPLACED)
                if self._vigil.is_suspended():
                    health = probe.Health(vigil.SUSPENDED, silent=True)
                if not health.problem:
                    return ""
                wrong, silent = (0, silent + 1) if health.silent else (wrong + 1, 0)
                if wrong >= self.patience.wrong or silent >= self.patience.silent:
                    self._give_up(f"the server went unhealthy: {health.problem}")
                    self._tell(reason=self._given_up, state="unhealthy")
                    return self._given_up
                if wrong == vigil.WRONG or health.problem == vigil.SUSPENDED:
                    self._notice(health.problem)
                self._gone.wait(self.patience.pause)
        return self.reason or self._given_up or "the server has ended"

    def _notice(self, fault: str) -> None:
        self.faults += 1
        self._tell(fault=f"the server did not serve without a break: {fault}")

    def _examine(self, seconds: float) -> probe.Health:
        return probe.examine(self.deployment, self.port, self.address, seconds=seconds)

    def _tell(self, **changes: str) -> None:
        with self._telling:
            if self.state != "ended":  # the last word, also if a check finds it unhealthy meanwhile
                for name, value in changes.items():
                    setattr(self, name, value)
        self._changed()

    def _live(self) -> None:
        try:
            with blocking.ended_by(self._end):
                reason = self._serve()
        except Interrupted:
            reason = self._given_up or "it was stopped"
        except EvaluationError as error:
            reason = str(error)
        except OSError as error:
            reason = f"{error.filename or self.log}: {error.strerror}"
        except Exception as error:  # otherwise its clients would wait forever
            traceback.print_exc()  # into supervisor.log
            reason = f"{type(error).__name__}: {error}"
        self.reason = "" if self.stopping else reason
        self._gone.set()
        self._tell(state="ended")

    def _serve(self) -> str:
        """Run it to its end; return why it ended."""
        deployment, environ = self.deployment, self._environ
        runtime, why = choose(
            deployment.serving.runtime, deployment.definition.image, installed(deployment, environ)
        )
        self.runtime = runtime.name
        self._tell(progress=why)
        for tries_left in reversed(range(_PORT_TRIES)):
            self.port = ports.choose(self.deployment.serving.port, self._taken_ports())
            log = self._directory.new_server_log()
            with log.open("ab") as output, timings.use(self._journal, log, self._gpus()) as using:
                outcome = self._run(runtime, output)
                using.exit_code = outcome.exit_code
            reason = self._given_up or why_ended(deployment, outcome, log, was_ready=self.was_ready)
            lost_race = not deployment.serving.port and any(map(_IN_USE.search, tail_lines(log)))
            if self.was_ready or self._end.is_set() or not lost_race or not tries_left:
                break
            self._tell(progress=f"another program took port {self.port}; tries another port")
        return reason

    def _gpus(self) -> int:
        return len(self.gpu_ids) * max(1, len(self._place.hosts))

    def _run(self, runtime: Runtime, log: IO[bytes]) -> Outcome:
        spread = self._nodes()
        spec = container(
            *(self.deployment, runtime, self.port, self.gpu_ids, self._environ, self._name), spread
        )
        spec = with_gpus(spec, runtime.name, self.gpu_ids, self.locks, self._environ)
        self.image_digest = runtime.prepare(spec, lambda text: self._tell(progress=text))
        ended = threading.Event()
        watch = threading.Thread(target=self._attend, args=(ended,), daemon=True)
        watch.start()
        try:
            if spread:
                return self._run_on(spread, runtime, spec, log)
            with blotting(spec, log):
                return runtime.run(spec, log, self._end)
        finally:
            ended.set()
            watch.join()

    def _nodes(self) -> Nodes | None:
        hosts = self._place.hosts
        if not hosts:
            return None
        addresses = nodes.addresses(hosts)
        self.address = addresses[0]
        return Nodes(hosts, addresses, ports.free_port(self._taken_ports() | {self.port}))

    def _run_on(
        self, spread: Nodes, runtime: Runtime, spec: ContainerSpec, log: IO[bytes]
    ) -> Outcome:
        """Run it as a step. srun kills its tasks at a SIGTERM: the end of their input is kinder."""
        code = run_child(
            node_process.command(spread),
            log,
            self._end,
            # Its tasks wait for their containers, which have all of the grace.
            grace=spec.grace + _STEP_SECONDS,
            stdin=node_process.message(runtime.name, spec, spread, gpus.slots(self._environ)),
            env=srun.environment({**os.environ, **self._environ, MARK: self._name}),
            by_signal=False,
        )
        return Outcome(code)

    def _attend(self, ended: threading.Event) -> None:
        self._become_ready(ended)
        if self.was_ready:
            self._vigil.watch(ended, self._notice)

    def _become_ready(self, ended: threading.Event) -> None:
        started = told = time.monotonic()
        unlisted_since: float | None = None
        limit = self.deployment.serving.readiness_timeout
        while not ended.wait(_PROBE_SECONDS):
            left = max(0.1, started + limit - time.monotonic())
            health = self._examine(min(_ANSWER_SECONDS, left))
            problem, now = health.problem, time.monotonic()
            if not problem:
                if not self._place.hosts and ports.belongs_to_another(self.port, self._name):
                    problem = f"something else answers on port {self.port}"
                elif why := why_changed(self.deployment, self._environ):
                    self._give_up(why)
                    return
                else:
                    here = 0 if self._place.hosts else self.port
                    self._vigil = Vigil(self._examine, here, self.patience.watch)
                    self.was_ready = True
                    self._tell(state="ready", progress=f"ready after {now - started:.0f} s")
                    return
            unlisted_since = (unlisted_since or now) if health.listed else None
            if unlisted_since and now - unlisted_since > _UNLISTED_SECONDS:
                self._give_up(
                    f"/v1/models does not list '{self.deployment.listed_name}', "
                    f"but {listed(health.listed)}; correct served_model_name"
                )
                return
            if now - started > limit:
                self._give_up(
                    f"the server was not ready after {limit} s ({problem}); raise readiness_timeout"
                )
                return
            if now - told > _TELL_SECONDS:
                told = now
                said = "".join(f": {line:.160}" for line in tail_lines(self.log)[-1:])
                self._tell(progress=f"loading for {now - started:.0f} s{said}")

    def _give_up(self, why: str) -> None:
        said = last_error(self.log)
        self._given_up = f"{why}{'; its log ends: ' + said if said else ''}"
        self._end.set()
