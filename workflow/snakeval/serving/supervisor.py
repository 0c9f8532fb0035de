"""The pool's one process: starts servers, counts who uses them, and stops them.

    python -m snakeval.serving.supervisor

It holds the lifeline of each server, so all servers end when it dies, even of SIGKILL. It ends
itself when no head of a run is left. A *head* is the process (of Snakemake) whose jobs ask for
servers; its name is its pid and start time. A *client* is a job's connection.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import threading
import time
import traceback

from snakeval.errors import EvaluationError
from snakeval.run.directory import RunDirectory
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.pool import TICK, Pool
from snakeval.serving.pool_client import Client, Head
from snakeval.serving.wire import Channel, Message, listen, path, peer

#: How many seconds a supervisor waits for its first client. The process that started it connects
#: as soon as it listens, or starts another one.
_FIRST_CLIENT_SECONDS = 3.0
#: The requests, and what belongs to each.
_FIELDS = {
    "leave": {"do", "head"},
    "status": {"do"},
    "serve": {"do", "run", "names", "who", "head", "environ", "eager", "gpus"},
}


# --- the process ------------------------------------------------------------------------------


def _handle(pool: Pool, connection: socket.socket, stop: threading.Event) -> None:
    channel = Channel(connection)
    try:
        request = _request(channel)
        if request is None:
            return
        if request["do"] == "leave":
            channel.send({"event": "left", "loads": pool.leave(_head(request))})
            if not pool.tick():  # the last head left
                stop.set()
        elif request["do"] == "status":
            channel.send({"event": "status", **pool.status()})
        elif request["do"] == "serve":
            _serve(pool, channel, request)
    except (EOFError, OSError):
        pass  # the client is gone: what it held is given back already
    except Exception as error:
        traceback.print_exc()  # into supervisor.log
        with contextlib.suppress(OSError):
            channel.send({"event": "failed", "reason": f"{type(error).__name__}: {error}"})
    finally:
        channel.close()


def _request(channel: Channel) -> Message | None:
    """Return the client's request; None if there is none that this pool knows."""
    try:
        request = channel.receive(10)
    except ValueError:
        return None
    known = isinstance(request, dict) and _FIELDS.get(str(request.get("do")))
    return request if known and request and known <= request.keys() else None


def _serve(pool: Pool, channel: Channel, request: Message) -> None:
    run = RunDirectory(request["run"])
    try:
        plans = tuple(DeploymentDirectory.of(run, name).plan() for name in request["names"])
    except EvaluationError as error:
        channel.send({"event": "failed", "reason": str(error)})
        return
    client = Client(
        channel,
        request["who"],
        run,
        _head(request),
        plans,
        request["environ"],
        request["eager"],
        gpus=request["gpus"],
    )
    threading.Thread(target=_watch, args=(pool, client), daemon=True).start()
    pool.serve(client)


def _watch(pool: Pool, client: Client) -> None:
    """Answer the client's questions until its connection ends."""
    with contextlib.suppress(EOFError, ValueError):
        while message := client.channel.receive():
            if message.get("do") == "confirm":
                # The answer may take a while, and the client's end must be noticed meanwhile.
                threading.Thread(target=_confirm, args=(pool, client), daemon=True).start()
    pool.lose(client)


def _confirm(pool: Pool, client: Client) -> None:
    broken = pool.confirm(client)
    client.tell("confirmed", broken=broken, stale=client.is_stale)


def _head(request: Message) -> Head:
    pid, start = request["head"]
    return int(pid), str(start)


def main() -> int:
    """Serve until no head is left, or SIGTERM; return 0, or 1 if another supervisor is here."""
    listening = listen()
    if listening is None:
        return 1
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for Snakemake
    with listening:
        work(Pool(), listening, stop)
    _tidy()
    return 0


def work(pool: Pool, listening: socket.socket, stop: threading.Event) -> None:
    """Serve until no head is left, or until *stop*. Nothing of the pool is left at the end."""
    accepting = threading.Thread(target=_accept, args=(pool, listening, stop), daemon=True)
    accepting.start()
    since = time.monotonic()
    while not stop.wait(TICK):
        if _tick(pool):
            since = time.monotonic()
        elif pool.left or time.monotonic() - since > _FIRST_CLIENT_SECONDS:
            break
    # The address stays taken meanwhile. Who asks for servers now waits for the next supervisor.
    pool.close()
    # A thread that accepts would keep the address after the socket is closed.
    listening.shutdown(socket.SHUT_RDWR)
    accepting.join()


def _tick(pool: Pool) -> bool:
    try:
        return pool.tick()
    except Exception:  # one run's trouble is not the end of the servers of all runs
        traceback.print_exc()
        return True


def _accept(pool: Pool, listening: socket.socket, stop: threading.Event) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return  # the socket is closed: the end
        # Any user can connect to the address; the kernel says which one did.
        if peer(connection)[1] != os.getuid():
            connection.close()
            continue
        threading.Thread(target=_handle, args=(pool, connection, stop), daemon=True).start()


def _tidy() -> None:
    """Remove an empty log and its directory."""
    log = path() / "supervisor.log"
    with contextlib.suppress(OSError):  # a new supervisor may be starting
        if log.stat().st_size == 0:
            log.unlink()
            log.parent.rmdir()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Not sys.exit: threads of clients may be waiting in their sockets.
    os._exit(code)
