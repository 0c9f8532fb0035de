"""A small OpenAI-compatible server for demonstrations and tests; no language model inside.

It serves the two rule-based models of `snakeval.demo.items`: `careful` answers every generated
item right, `sloppy` gets a known part of them wrong. To anything else both say "I do not know.".

    python -m snakeval.demo.server --port 8000

It can load slowly, answer slowly, fail and die on command, and it counts what it is asked
(`GET /stats`), so that a test can see whether an evaluation was repeated, retried or resumed.
A ledger file (`--ledger`) keeps the counts across restarts of the server.
"""

from __future__ import annotations

import argparse
import contextlib
import hmac
import json
import os
import signal
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from snakeval.demo.api import ROUTES, Json, Refusal, Route, model_list, not_found, parse
from snakeval.demo.items import SLIP_PERCENT, rules_of
from snakeval.demo.ledger import Ledger

MODELS = tuple(SLIP_PERCENT)
EXIT_USAGE = 2
EXIT_DIED = 70
_LOADING_REPORTS = 4


@dataclass(frozen=True)
class Behaviour:
    """What the server serves, and how it misbehaves.

    Model requests are numbered from 1 in order of arrival. The first `fail_first` of them get
    `fail_status`, and so does each `fail_every`-th one, and all while the file `fail_while` exists.
    The server dies when the one after `die_after` arrives. For the first `load` seconds it listens,
    but has no models yet: those who ask get 503, and a number. What it loads and answers is
    appended to the file `ledger`.
    """

    models: tuple[str, ...] = MODELS
    load: float = 0.0
    delay: float = 0.0
    api_key: str | None = field(default=None, repr=False)
    fail_status: int = 500
    fail_first: int = 0
    fail_every: int = 0
    fail_while: Path | None = None
    die_after: int | None = None
    ledger: Path | None = None

    def __post_init__(self) -> None:
        """Refuse models that nobody has written rules for."""
        unknown = [model for model in self.models if rules_of(model) not in MODELS]
        if unknown or not self.models:
            raise ValueError(
                f"models must be among {', '.join(MODELS)}, not {', '.join(unknown) or 'empty'}"
            )

    def fails(self, number: int) -> bool:
        """Say whether the model request with this number is to fail."""
        if self.fail_while is not None and self.fail_while.exists():
            return True
        periodic = self.fail_every > 0 and number % self.fail_every == 0
        return periodic or number <= self.fail_first

    def dies(self, number: int) -> bool:
        """Say whether the model request with this number kills the server."""
        return self.die_after is not None and number > self.die_after


class DemoServer(ThreadingHTTPServer):
    """The listening socket, the behaviour asked for, and the counts."""

    daemon_threads = True
    request_queue_size = 128  # a harness opens all of its connections at once

    def __init__(self, host: str, port: int, behaviour: Behaviour) -> None:
        """Listen; port 0 takes a free one. The loading begins now."""
        self.behaviour = behaviour
        self.ledger = Ledger(behaviour.ledger)
        self.loaded_at = time.monotonic() + behaviour.load
        self.stopped = False
        self.on_death: Callable[[], None] = lambda: None
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        """Bind without `HTTPServer`'s look-up of the host's name, slow where DNS is absent."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def server_activate(self) -> None:
        """Listen, and record that the models are loaded once more."""
        super().server_activate()
        self.ledger.load(self.behaviour.models)

    def server_close(self) -> None:
        """Close the socket and the ledger's file."""
        super().server_close()
        self.ledger.close()

    @property
    def loading(self) -> bool:
        """Whether the models are not there yet."""
        return time.monotonic() < self.loaded_at

    @property
    def url(self) -> str:
        """The address of the server, without `/v1`."""
        return f"http://{self.server_name}:{self.server_port}"

    def stats(self) -> Json:
        """Return what `GET /stats` returns."""
        return self.ledger.snapshot()

    def start(self) -> None:
        """Serve in a thread."""
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Serve nobody any more, open connections included; the port is free afterwards."""
        self.stopped = True
        self.shutdown()
        self.server_close()

    def die(self) -> None:
        """Break off without a word to any client, as a crash does."""
        self.stopped = True
        self.on_death()
        threading.Thread(target=self.stop, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing about clients that hang up: a killed harness does, all the time."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Takes requests from one connection and sends the answers."""

    server: DemoServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet a response: a body sent after its header waits 40 ms for an ACK

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent: a line a request would bury everything else."""

    def do_GET(self) -> None:
        """Answer questions about the server itself."""
        path = self.path.partition("?")[0]
        try:
            if path == "/health":
                if self.server.loading:
                    raise _still_loading()
                self._send(200, {"status": "ok"})
            elif path == "/stats":
                self._send(200, self.server.stats())
            elif path == "/v1/models":
                self._authorise()
                models = () if self.server.loading else self.server.behaviour.models
                self._send(200, model_list(models))
            else:
                raise not_found(path)
        except Refusal as refusal:
            self._refuse(refusal)

    def do_POST(self) -> None:
        """Answer requests to a model."""
        path = self.path.partition("?")[0]
        body = self._read()
        if path == "/stats/reset":
            self.server.ledger.reset()
            self._send(200, self.server.stats())
        elif path in ROUTES:
            self._serve_model(ROUTES[path], body)
        else:
            self._refuse(not_found(path))

    def _serve_model(self, route: Route, body: bytes) -> None:
        behaviour, ledger = self.server.behaviour, self.server.ledger
        number = ledger.arrive()
        if behaviour.dies(number):
            self.server.die()
        if self.server.loading:
            ledger.end("rejected")
            self._refuse(_still_loading())
            return
        time.sleep(behaviour.delay)
        if self._abandoned():
            ledger.end("abandoned")
            self.close_connection = True
            return
        failing = behaviour.fails(number)
        try:
            if failing:
                raise Refusal(behaviour.fail_status, "Failing on purpose.", "demo_failure")
            self._authorise()
            request = parse(body, behaviour.models)
            prompts = route.prompts(request)
            answer = route.answer(request, prompts)
        except Refusal as refusal:
            ledger.end("failed" if failing else "rejected")
            self._refuse(refusal)
        else:
            # Counted before it is sent, so that who has the answer finds it in the counts.
            if not self.server.stopped:
                ledger.answer(number, request["model"], prompts)
            self._send(200, answer)

    def _authorise(self) -> None:
        key = self.server.behaviour.api_key
        given = self.headers.get("Authorization", "")
        if key is not None and not hmac.compare_digest(given.encode(), f"Bearer {key}".encode()):
            raise Refusal(401, "Incorrect API key provided.", "invalid_api_key")

    def _abandoned(self) -> bool:
        """Say whether the client hung up meanwhile, by a look at its socket that takes nothing."""
        try:
            return not self.connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _read(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if length.isdecimal():
            return self.rfile.read(int(length))
        # A body of unknown length would be taken for the connection's next request.
        self.close_connection = True
        return b""

    def _refuse(self, refusal: Refusal) -> None:
        self._send(refusal.status, refusal.body())

    def _send(self, status: int, body: Json) -> None:
        if self.server.stopped:
            self.close_connection = True
            return
        payload = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)


def _still_loading() -> Refusal:
    return Refusal(503, "The models are still loading.", "loading")


@contextlib.contextmanager
def serve(
    models: Sequence[str] = MODELS, host: str = "127.0.0.1", port: int = 0, **behaviour: Any
) -> Iterator[DemoServer]:
    """Serve in a thread while the block runs; `behaviour` is any field of `Behaviour`."""
    server = DemoServer(host, port, Behaviour(models=tuple(models), **behaviour))
    server.start()
    try:
        yield server
    finally:
        server.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; the return value is the exit code."""
    parser = _parser()
    options = parser.parse_args(arguments)
    key = os.environ.get(options.api_key_name) if options.api_key_name else None
    if options.api_key_name and not key:
        parser.error(f"the environment variable {options.api_key_name} is not set")
    try:
        server = DemoServer(options.host, options.port, _behaviour(options, key))
    except ValueError as problem:
        parser.error(str(problem))
    except (OSError, OverflowError) as problem:
        # Only what went wrong with a file has a name: the ledger, then.
        file = getattr(problem, "filename", None)
        task = f"write {file}" if file else f"serve on {options.host}:{options.port}"
        reason = getattr(problem, "strerror", None) or problem
        print(f"Cannot {task}: {reason}.", file=sys.stderr)
        return EXIT_USAGE
    server.on_death = lambda: os._exit(EXIT_DIED)
    _serve_until_told(server)
    return 0


def _behaviour(options: argparse.Namespace, key: str | None) -> Behaviour:
    return Behaviour(
        models=tuple(options.models.split(",")),
        load=options.load,
        delay=options.delay,
        api_key=key,
        fail_status=options.fail_status,
        fail_first=options.fail_first,
        fail_every=options.fail_every,
        die_after=options.die_after,
        ledger=options.ledger,
    )


def _serve_until_told(server: DemoServer) -> None:
    # Blocked before any thread starts, so that the signals reach this thread and no other.
    endings = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, endings)
    server.start()
    if _loaded(server, endings):
        print(f"Serving {', '.join(server.behaviour.models)} at {server.url}", flush=True)
        signal.sigwait(endings)
    server.stop()


def _loaded(server: DemoServer, endings: set[signal.Signals]) -> bool:
    """Report on the loading until it is over; return False as soon as a signal ends it."""
    for report in range(_LOADING_REPORTS if server.loading else 0):
        print(f"loading: {100 * report // _LOADING_REPORTS} %", flush=True)
        if signal.sigtimedwait(endings, server.behaviour.load / _LOADING_REPORTS) is not None:
            return False
    return True


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m snakeval.demo.server",
        description="Serve rule-based demo models through an OpenAI-compatible API.",
    )
    option = parser.add_argument
    option("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    option("--port", type=int, default=0, help="port to listen on (default: 0, a free one)")
    option(
        "--models",
        default=",".join(MODELS),
        help="which models (default: %(default)s); a prefix as in demo/careful is allowed",
    )
    option("--load", type=float, default=0.0, metavar="SECONDS", help="say 503 for so long first")
    option("--delay", type=float, default=0.0, metavar="SECONDS", help="wait before an answer")
    option("--api-key-name", metavar="VAR", help="demand the key in this environment variable")
    option("--fail-status", type=int, default=500, metavar="CODE", help="what a failure returns")
    failing = parser.add_mutually_exclusive_group()
    failing.add_argument("--fail-first", type=int, default=0, metavar="N", help="fail N requests")
    failing.add_argument("--fail-every", type=int, default=0, metavar="N", help="fail each N-th")
    option("--fail-while", type=Path, metavar="FILE", help="fail as long as FILE exists")
    option("--die-after", type=int, metavar="N", help="crash after N requests")
    option("--ledger", type=Path, metavar="FILE", help="append loads and answers to FILE, as JSON")
    return parser


if __name__ == "__main__":
    sys.exit(main())
