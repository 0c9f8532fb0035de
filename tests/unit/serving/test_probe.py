"""The health of a server, asked for within a deadline."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from snakeval.config import models
from snakeval.serving.deployment import Deployment
from snakeval.serving.probe import Health, examine
from snakeval.serving.resolve import resolve
from support.limits import HUNG

Answer = Callable[[socket.socket, str], None]

HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def deployment() -> Deployment:
    made = resolve("careful", models.Deployment(kind="generic", command="serve"), "host")
    serving = replace(made.serving, health_path="/health", models_path="/v1/models")
    return replace(made, serving=serving)


@contextmanager
def server(answer: Answer) -> Iterator[int]:
    """Answer each connection by *answer*, which gets the path; yield the port."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection:
            path = connection.recv(4096).decode().split(" ")[1]
            try:
                answer(connection, path)
            except OSError:
                return

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def well(connection: socket.socket, path: str) -> None:
    body = b"" if path == "/health" else json.dumps({"data": [{"id": "careful"}]}).encode()
    connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)


def drip(connection: socket.socket, what: bytes) -> None:
    while True:
        connection.sendall(what)
        time.sleep(0.02)


def drips_body(connection: socket.socket, path: str) -> None:
    if path == "/health":
        well(connection, path)
    else:
        connection.sendall(HEAD + b"\r\n")
        drip(connection, b" ")


def drips_header(connection: socket.socket, path: str) -> None:
    connection.sendall(HEAD)
    drip(connection, b"X: y\r\n" if path == "/health" else b"x")


def drips_long_header(connection: socket.socket, path: str) -> None:
    connection.sendall(HEAD + b"X-Long: ")
    drip(connection, b"x")


def redirects_for_ever(connection: socket.socket, path: str) -> None:
    time.sleep(0.1)
    number = len(path)
    head = f"HTTP/1.1 302 Found\r\nLocation: /{'x' * number}\r\nContent-Length: 0\r\n\r\n"
    connection.sendall(head.encode())


def says_nothing(connection: socket.socket, path: str) -> None:
    threading.Event().wait(HUNG)


@pytest.mark.parametrize(
    "answer", [drips_body, drips_header, drips_long_header, redirects_for_ever, says_nothing]
)
def test_no_answer_lasts_longer_than_its_deadline(answer: Answer, deployment: Deployment) -> None:
    with server(answer) as port:
        health = examine(deployment, port, seconds=0.3)
    assert health == Health("it does not answer: no whole answer within 0.3 s", silent=True)


def test_a_server_that_is_well_has_no_problem(deployment: Deployment) -> None:
    with server(well) as port:
        assert examine(deployment, port) == Health()


def test_other_models_are_listed(deployment: Deployment) -> None:
    with server(well) as port:
        other = replace(deployment.definition, served_model_name="sloppy")
        health = examine(replace(deployment, definition=other), port)
    assert health == Health("/v1/models does not list 'sloppy'", ("careful",))


def broken(connection: socket.socket, path: str) -> None:
    connection.sendall(b"HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\n{}")


def garbage(connection: socket.socket, path: str) -> None:
    connection.sendall(b"\x00\x01\x02 hello\r\n\r\n")


def no_json(connection: socket.socket, path: str) -> None:
    connection.sendall(HEAD + b"Content-Length: 3\r\n\r\n[1]")


def endless(connection: socket.socket, path: str) -> None:
    connection.sendall(HEAD + b"\r\n")
    while path != "/health":
        connection.sendall(b" " * (1 << 20))


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (broken, "/health answers HTTP 500"),
        (garbage, "it does not answer: "),
        (no_json, "it does not answer: "),
        (endless, "answers with more than 16 MiB"),
    ],
)
def test_a_wrong_answer_is_a_problem_and_no_silence(
    answer: Answer, problem: str, deployment: Deployment
) -> None:
    with server(answer) as port:
        health = examine(deployment, port)
    assert problem in health.problem
    assert not health.silent


def test_a_server_that_is_gone_is_not_silent(deployment: Deployment) -> None:
    with server(well) as port:
        pass
    health = examine(deployment, port)
    assert "refused" in health.problem
    assert not health.silent
