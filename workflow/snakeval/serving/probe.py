"""Asks a model server for its health, within a deadline that covers the whole exchange."""

from __future__ import annotations

import http.client
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from snakeval.files import DAMAGE, json_value
from snakeval.serving.deployment import Deployment

#: The longest answer that is read, in bytes. A list of models is much shorter.
_LONGEST = 1 << 24


@dataclass(frozen=True, slots=True)
class Health:
    """The result of asking a server for its health.

    Attributes:
        problem: what is wrong with it, or empty.
        listed: the models that it lists instead of its own.
        silent: it gave no answer in time, so it may only be busy.
    """

    problem: str = ""
    listed: tuple[str, ...] = ()
    silent: bool = False


def examine(
    deployment: Deployment, port: int, address: str = "127.0.0.1", *, seconds: float = 5.0
) -> Health:
    """Ask the health path and the list of models, each for at most *seconds*."""
    base = deployment.base_url(port, address)
    name, serving = deployment.listed_name, deployment.serving
    try:
        get(base + serving.health_path, seconds)
        entries = json_value(get(base + serving.models_path, seconds))["data"]
        listed = tuple(str(entry["id"]) for entry in entries)
    except urllib.error.HTTPError as error:
        error.close()
        return Health(f"{error.url} answers HTTP {error.code}")
    except TimeoutError as error:
        return Health(f"it does not answer: {error}", silent=True)
    except (OSError, http.client.HTTPException, *DAMAGE) as error:
        return Health(f"it does not answer: {getattr(error, 'reason', error)}")
    if name in listed:
        return Health()
    return Health(f"{serving.models_path} does not list '{name}'", listed)


def get(url: str, seconds: float, body: bytes | None = None) -> bytes:
    """Return what *url* answers; to a POST of a *body*, which is JSON, if there is one.

    The whole exchange, redirections included, has *seconds*.

    Raises:
        TimeoutError: there was no whole answer in time.
        OSError, http.client.HTTPException, ValueError: there was no valid answer.
    """
    with _Deadline(seconds) as deadline:
        # No proxy is between this machine and itself.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Handler(deadline))
        try:
            request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
            with opener.open(request, timeout=seconds) as answer:
                said: bytes = answer.read(_LONGEST + 1)
        except urllib.error.HTTPError:
            raise
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            # A refusal is an answer, however late this thread gets it.
            refused = isinstance(reason, ConnectionRefusedError)
            if isinstance(reason, TimeoutError) or (deadline.passed and not refused):
                raise TimeoutError(f"no whole answer within {seconds:g} s") from None
            raise
    # A connection that the deadline ended looks like an answer that ended.
    if deadline.passed:
        raise TimeoutError(f"no whole answer within {seconds:g} s")
    if len(said) > _LONGEST:
        raise ValueError(f"{url} answers with more than {_LONGEST >> 20} MiB")
    return said


class _Deadline:
    """Ends the connections that it watches once the time is over."""

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._until = time.monotonic() + seconds
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def left(self) -> float:
        return max(0.01, self._until - time.monotonic())

    def watch(self, connection: socket.socket) -> None:
        self._sockets.append(connection)
        if self.passed:
            self._end(connection)

    def _pass(self) -> None:
        self.passed = True
        for connection in self._sockets:
            self._end(connection)

    @staticmethod
    def _end(connection: socket.socket) -> None:
        with suppress(OSError):  # it has ended
            connection.shutdown(socket.SHUT_RDWR)


class _Handler(urllib.request.HTTPHandler):
    def __init__(self, deadline: _Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def http_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        deadline = self._deadline

        class Connection(http.client.HTTPConnection):
            def __init__(self, host: str, **options: Any) -> None:
                super().__init__(host, **{**options, "timeout": deadline.left()})

            def connect(self) -> None:
                super().connect()
                deadline.watch(self.sock)

        return self.do_open(Connection, request)
