"""The pool's one process: starts servers, counts who uses them, and stops them.

    python -m snakeval.serving.supervisor

It holds the lifeline of each server, so all servers end when it dies, even of SIGKILL. It ends
itself when no head of a run is left. A *head* is the process (of Snakemake) whose jobs ask for
servers; its name is its pid and start time. A *client* is a job's connection.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import IO

from snakeval.errors import EvaluationError
from snakeval.run.directory import RunDirectory
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.pool import _TICK, Client, Head, Pool
from snakeval.serving.wire import Channel, Message, directory

#: How long a supervisor waits for its first client, in seconds.
_FIRST_CLIENT_SECONDS = 10.0


# --- the process ------------------------------------------------------------------------------


def _handle(pool: Pool, connection: socket.socket) -> None:
    channel = Channel(connection)
    try:
        request = channel.receive(10)
        if request is None:
            return
        if request["do"] == "leave":
            channel.send({"event": "left", "loads": pool.leave(_head(request))})
        elif request["do"] == "status":
            channel.send({"event": "status", **pool.status()})
        elif request["do"] == "serve":
            _serve(pool, channel, request)
    except (EOFError, OSError):
        pass  # the client is gone: what it held is given back already
    finally:
        channel.close()


def _serve(pool: Pool, channel: Channel, request: Message) -> None:
    run = RunDirectory(request["run"])
    try:
        plans = tuple(DeploymentDirectory.of(run, name).plan() for name in request["names"])
    except EvaluationError as error:
        channel.send({"event": "failed", "reason": str(error)})
        return
    client = Client(
        channel, request["who"], run, _head(request), plans, request["environ"], request["eager"]
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
    client.tell("confirmed", broken=pool.confirm(client))


def _head(request: Message) -> Head:
    pid, start = request["head"]
    return int(pid), str(start)


def main() -> int:
    """Serve until no head is left, or SIGTERM; return 0, or 1 if another supervisor is here."""
    place = directory(make=True)
    lock = _lock(place / "lock")
    if lock is None:
        return 1
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for Snakemake
    address = place / "socket"
    address.unlink(missing_ok=True)
    pool = Pool()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(address))
        listening.listen(128)
        threading.Thread(target=_accept, args=(pool, listening), daemon=True).start()
        since = time.monotonic()
        while not stop.wait(_TICK):
            if pool.tick():
                since = time.monotonic()
            elif pool.left or time.monotonic() - since > _FIRST_CLIENT_SECONDS:
                break
        address.unlink(missing_ok=True)
    pool.close()
    _tidy(place)
    return 0


def _lock(file: Path) -> IO[str] | None:
    """Return the lock, held, or None where another supervisor has it."""
    while True:
        lock = file.open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A supervisor that just ended may have removed the file: this lock is then useless.
            if os.fstat(lock.fileno()).st_ino == file.stat().st_ino:
                return lock
        except BlockingIOError:
            return None
        except FileNotFoundError:
            file.parent.mkdir(mode=0o700, exist_ok=True)
        lock.close()


def _tidy(place: Path) -> None:
    """Remove the pool's files, except a log that is not empty."""
    log = place / "supervisor.log"
    with contextlib.suppress(OSError):  # a new supervisor may be starting
        if log.stat().st_size == 0:
            log.unlink()
        (place / "lock").unlink()
        place.rmdir()


def _accept(pool: Pool, listening: socket.socket) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return  # closed: the end
        threading.Thread(target=_handle, args=(pool, connection), daemon=True).start()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Not sys.exit: threads of clients may be waiting in their sockets.
    os._exit(code)
