"""A small OpenAI-compatible server for demonstrations and tests, without a language model.

The server offers the two rule-based models of `snakeval.demo.items`. `careful` answers every
generated item correctly; `sloppy` gets a known part of them wrong. Both answer any other question
with "I do not know.".

    python -m snakeval.demo.server --port 8000

The server can load slowly, answer slowly, fail and crash on command. It counts its requests
(`GET /stats`), which shows a test whether an evaluation was rerun, retried or resumed. A ledger
file (`--ledger`) keeps the counts when the server restarts. The counts leave out the requests by
which snakeval checks an endpoint before a run.
"""

from __future__ import annotations

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
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from snakeval.demo.api import ROUTES, Json, Refusal, Route, model_list, not_found, parse
from snakeval.demo.behaviour import MODELS, Behaviour, behaviour_of, command_parser
from snakeval.demo.ledger import Ledger, Uncounted

EXIT_USAGE = 2
EXIT_DIED = 70
_LOADING_REPORTS = 4


class DemoServer(ThreadingHTTPServer):
    """The HTTP server: a listening socket, its behaviour and its counts."""

    daemon_threads = True
    request_queue_size = 128  # a harness opens all of its connections at once

    def __init__(self, host: str, port: int, behaviour: Behaviour) -> None:
        """Listen on a port (0 takes a free one), and start to load the models."""
        self.behaviour = behaviour
        self.ledger = Ledger(behaviour.ledger)
        self.loaded_at = time.monotonic() + behaviour.load
        self.stopped = False
        self.on_death: Callable[[], None] = lambda: None
        super().__init__((host, port), Handler)

    def server_bind(self) -> None:
        """Bind without `HTTPServer`'s look-up of the host's name, which is slow without DNS."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def server_activate(self) -> None:
        """Listen, and record in the ledger that this server loads its models."""
        super().server_activate()
        self.ledger.load(self.behaviour.models)

    def server_close(self) -> None:
        """Close the socket and the ledger's file."""
        super().server_close()
        self.ledger.close()

    @property
    def loading(self) -> bool:
        """Whether the models are still loading."""
        return time.monotonic() < self.loaded_at

    @property
    def url(self) -> str:
        """The address of the server, without `/v1`."""
        return f"http://{self.server_name}:{self.server_port}"

    def stats(self) -> Json:
        """Return the counts, as `GET /stats` does."""
        return self.ledger.snapshot()

    def start(self) -> None:
        """Serve in a thread."""
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Stop serving, also on open connections, and free the port."""
        self.stopped = True
        self.shutdown()
        self.server_close()

    def die(self) -> None:
        """Stop without an answer to any client, as a crash does."""
        self.stopped = True
        self.on_death()
        threading.Thread(target=self.stop, daemon=True).start()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Log errors, except of clients that hang up, which killed harnesses often do."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Reads requests from one connection and sends the answers."""

    server: DemoServer
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # one packet a response: a body sent after its header waits 40 ms for an ACK

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: a line for each request would hide all other output."""

    def do_GET(self) -> None:
        """Answer `/health`, `/stats` and `/v1/models`."""
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
        """Answer requests to a model, and `/stats/reset`."""
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
        behaviour, is_check = self.server.behaviour, self._is_check()
        ledger = Uncounted(self.server.ledger) if is_check else self.server.ledger
        number = ledger.arrive()
        if behaviour.dies(number) and not is_check:
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
            # Count before sending: a client that has the answer must find it in the counts.
            if not self.server.stopped:
                ledger.answer(number, request["model"], prompts)
            self._send(200, answer)

    def _is_check(self) -> bool:
        """Return whether snakeval asks before a run, which is no request of an evaluation."""
        return self.headers.get("User-Agent", "").startswith("snakeval-preflight/")

    def _authorise(self) -> None:
        key = self.server.behaviour.api_key
        given = self.headers.get("Authorization", "")
        if key is not None and not hmac.compare_digest(given.encode(), f"Bearer {key}".encode()):
            raise Refusal(401, "Incorrect API key provided.", "invalid_api_key")

    def _abandoned(self) -> bool:
        """Return whether the client hung up; the check consumes no data of its socket."""
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
        # The server would read a body of unknown length as the connection's next request.
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
    parser = command_parser()
    options = parser.parse_args(arguments)
    key = os.environ.get(options.api_key_name) if options.api_key_name else None
    if options.api_key_name and not key:
        parser.error(f"the environment variable {options.api_key_name} is not set")
    try:
        server = DemoServer(options.host, options.port, behaviour_of(options, key))
    except ValueError as problem:
        parser.error(str(problem))
    except (OSError, OverflowError) as problem:
        # Only an error of a file has a file name, and the ledger is the only file.
        file = getattr(problem, "filename", None)
        task = f"write {file}" if file else f"serve on {options.host}:{options.port}"
        reason = getattr(problem, "strerror", None) or problem
        print(f"Cannot {task}: {reason}.", file=sys.stderr)
        return EXIT_USAGE
    server.on_death = lambda: os._exit(EXIT_DIED)
    _serve_until_signalled(server)
    return 0


def _serve_until_signalled(server: DemoServer) -> None:
    # Block the signals before any thread starts, so that only this thread receives them.
    endings = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, endings)
    server.start()
    if _loaded(server, endings):
        print(f"Serving {', '.join(server.behaviour.models)} at {server.url}", flush=True)
        signal.sigwait(endings)
    server.stop()


def _loaded(server: DemoServer, endings: set[signal.Signals]) -> bool:
    """Print the loading's progress until it ends; return False as soon as a signal arrives."""
    for report in range(_LOADING_REPORTS if server.loading else 0):
        print(f"loading: {100 * report // _LOADING_REPORTS} %", flush=True)
        if signal.sigtimedwait(endings, server.behaviour.load / _LOADING_REPORTS) is not None:
            return False
    return True


if __name__ == "__main__":
    sys.exit(main())
