"""The pool: the model servers of this machine, shared by every evaluation that needs them.

One supervisor process for each user (:mod:`snakeval.serving.supervisor`) owns the servers. The
first job that needs a server starts the supervisor, which ends after the last head and server. This
module is the client's side::

    with serve(run, ("llama",), who="llama/ifeval", head=head, stop=stop, ...) as servers:
        evaluate(servers["llama"].url)
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Event

from snakeval.errors import EvaluationError, Interrupted
from snakeval.evaluation import events
from snakeval.ledger.start_time import start_time
from snakeval.run.directory import RunDirectory
from snakeval.runtimes.spec import ContainerSpec
from snakeval.serving import gone
from snakeval.serving.gpus import Locks, with_gpus
from snakeval.serving.wire import Channel, Message, connect, directory, path

#: How long the pool has to start, in seconds; its imports are slow on a busy machine.
_START_SECONDS = 120.0
_POOL_TRIES = 5
#: How long the pool has for its answer whether its servers are well, in seconds.
_CONFIRM_SECONDS = 120.0
_POOL_ENDED = "the pool of servers ended"

Report = Callable[[events.Event], None]  # gets what happens while a job waits for its servers


class Busy(Exception):
    """The servers do not fit beside what is served now; they will be started when needed."""


@dataclass(frozen=True, slots=True)
class Served:
    """A server that is ready.

    Attributes:
        url: the full URL of its route. ``log``: where its log is.
        version: its image with the image's digest, where it has one.
    """

    url: str
    runtime: str
    version: str
    gpus: tuple[str, ...]
    log: str

    def event(self, name: str, detail: str) -> events.Event:
        """Return the event that the deployment *name* serves."""
        return events.Event(
            "serving", detail=detail, model=name, url=self.url, runtime=self.runtime, log=self.log
        )


class Servers(dict[str, Served]):
    """The servers of a job by name, and the question whether they served it to the end.

    Attributes:
        gpus, locks: the GPUs of the job's harness, if it asked for some, and their locks.
        is_stale: whether a server had other weights, so that its answers do not count.
    """

    def __init__(
        self,
        found: Mapping[str, Served] | None = None,
        gpus: Sequence[str] = (),
        locks: Locks | None = None,
        channel: Channel | None = None,
    ) -> None:
        super().__init__(found or {})
        self.gpus = tuple(gpus)
        self.locks = locks or Locks()
        self.channel = channel
        self._answered = threading.Condition()
        self._answers, self._broken, self.is_stale = 0, "", False

    def with_gpus(self, spec: ContainerSpec, runtime: str) -> ContainerSpec:
        """Return the harness's *spec* with its own GPUs, which stay locked while it runs."""
        return with_gpus(spec, runtime, self.gpus, self.locks, os.environ)

    def why_broken(self, timeout: float = _CONFIRM_SECONDS) -> str:
        """Return why the servers did not serve without a break; empty if they did.

        The pool asks each server for its health. No answer of the pool counts as a break.
        """
        if self.channel is None or not self:
            return ""
        with self._answered:
            before = self._answers
            with contextlib.suppress(OSError):  # the pool is gone, which `_heard` notices
                self.channel.send({"do": "confirm"})
            heard = self._answered.wait_for(lambda: self._broken or self._answers > before, timeout)
            return self._broken if heard else "the pool of servers does not answer"

    def hear(self, broken: str) -> None:
        """Note an answer of the pool. A break is final."""
        with self._answered:
            self._answers += 1
            self._broken = self._broken or broken
            self._answered.notify_all()


def head_of(pid: int) -> tuple[int, str]:
    """Return a permanent name for the process *pid*: the pid with its start time."""
    return pid, start_time(pid) or ""


@contextlib.contextmanager
def serve(
    run: RunDirectory,
    names: Sequence[str],
    *,
    who: str,
    head: tuple[int, str],
    stop: Event,
    report: Report,
    lost: Callable[[str], None] = lambda reason: None,
    eager: bool = False,
    gpus: int = 0,
) -> Iterator[Servers]:
    """Have the deployments *names* of *run* served while the context lasts.

    The job's harness gets *gpus* GPUs of its own, which no server and no other harness has.

    They are reused, started, or started again if they died, and kept while *head* lives for the
    evaluations to come. *report* hears how far they are. *lost* is called (in a thread) if one
    of them ends inside the context, and has returned when the context ends. *eager* does not wait
    for its turn. The context raises what *lost* raises.

    Raises:
        EvaluationError: one will not serve; the reason has its log's last line.
        Interrupted: *stop* was set while waiting.
        Busy: *eager*, and others are served for now.
    """
    request = {
        "do": "serve",
        "run": str(run.absolute()),
        "names": list(names),
        "who": who,
        "head": head,
        "environ": dict(os.environ),
        "eager": eager,
        "gpus": gpus,
    }
    with gone.noticed(run, names):
        channel, servers = _acquire(request, stop, report)
    try:
        with _listening(channel, servers, lost):
            yield servers
    finally:
        servers.locks.release()
        channel.close()


@contextlib.contextmanager
def _listening(channel: Channel, servers: Servers, lost: Callable[[str], None]) -> Iterator[None]:
    """Listen to the pool in a thread, which ends with the context.

    Otherwise *lost* could write to something that the caller closes after the context.
    """
    left = Event()
    errors: list[Exception] = []

    def listen() -> None:
        reason = _heard(channel, servers)
        if servers and not left.is_set():  # GPUs of its own stay the job's without the pool
            try:
                lost(reason)
            except Exception as error:
                errors.append(error)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield
    finally:
        left.set()
        channel.shut()
        listener.join()
    if errors:
        raise errors[0]


def _acquire(request: Message, stop: Event, report: Report) -> tuple[Channel, Servers]:
    for _ in range(_POOL_TRIES):
        channel = _connect(stop)
        try:
            channel.send(request)
            return channel, _wait(channel, stop, report)
        except (EOFError, OSError):
            channel.close()  # the supervisor ended just now, or was killed: the next one serves
        except BaseException:
            channel.close()
            raise
    raise EvaluationError(
        f"the pool of model servers ended {_POOL_TRIES} times; see {path()}/supervisor.log"
    )


def _wait(channel: Channel, stop: Event, report: Report) -> Servers:
    while not stop.is_set():
        message = channel.receive(0.2) or {"event": "nothing yet"}
        match message["event"]:
            case "progress":
                report(events.Event(message.get("phase", "deploying"), detail=message["text"]))
            case "failed":
                raise EvaluationError(f"deployment failed: {message['reason']}")
            case "busy":
                raise Busy(message["why"])
            case "ready":
                found = {
                    name: Served(**{**s, "gpus": tuple(s["gpus"])})
                    for name, s in message["servers"].items()
                }
                return Servers(found, message["gpus"], Locks.of(channel.files), channel)
    raise Interrupted


def _heard(channel: Channel, servers: Servers) -> str:
    """Pass the pool's answers to *servers*; return why they broke, or that the pool ended."""
    reason = _POOL_ENDED
    with contextlib.suppress(EOFError):
        while message := channel.receive():
            if message["event"] == "confirmed":
                servers.is_stale = servers.is_stale or bool(message.get("stale"))
                servers.hear(str(message["broken"]))
            if message["event"] == "lost":
                reason = str(message["reason"])
                break
    servers.hear(reason)
    return reason


def leave(head: tuple[int, str]) -> dict[str, int]:
    """Report to the pool that *head* is done; return how often it loaded each deployment.

    It waits until the servers that only *head* used have ended. It returns at once if no pool runs.
    """
    try:
        with contextlib.closing(connect()) as channel:
            channel.send({"do": "leave", "head": head})
            answer = channel.receive()
            return dict(answer["loads"]) if answer else {}
    except (EOFError, OSError, EvaluationError):
        return {}


def status() -> Message | None:
    """Return the servers and clients of the pool, or None if no pool runs."""
    try:
        with contextlib.closing(connect()) as channel:
            channel.send({"do": "status"})
            return channel.receive()
    except (EOFError, OSError, EvaluationError):
        return None


def _connect(stop: Event) -> Channel:
    """Return a connection to the supervisor, started if there is none."""
    until = time.monotonic() + _START_SECONDS
    child: subprocess.Popen[bytes] | None = None
    while time.monotonic() < until:
        try:
            return connect()
        except OSError:
            if child is None or child.poll() is not None:
                child = _start()
        if stop.wait(0.05):
            raise Interrupted
    raise EvaluationError(f"the pool of model servers does not start; see {path()}/supervisor.log")


def _start() -> subprocess.Popen[bytes]:
    # In a session of its own: neither a terminal's Ctrl-C nor the end of this job ends it.
    with (directory() / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "snakeval.serving.supervisor"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
