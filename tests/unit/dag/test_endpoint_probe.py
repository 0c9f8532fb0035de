"""Wrong endpoints on real sockets: each is named, with its cause first."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from snakeval.config.endpoints import Endpoint
from snakeval.dag.endpoint_probe import Probe
from snakeval.dag.endpoint_words import Target
from snakeval.demo.server import serve
from support.limits import HUNG
from support.probed import MODELS, POST, TEXTS, VECTORS, found, line, said
from support.standing import CHAT, LIST, PAGE, TEXT, VECTOR, Said, standing


@contextmanager
def listening(answer: bytes | None) -> Iterator[str]:
    """Serve connections that get *answer*, or that hang."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        held = []

        def work() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                held.append(connection)
                if answer is not None:
                    connection.recv(1 << 16)
                    connection.sendall(answer)
                    connection.close()

        threading.Thread(target=work, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


# --- the ten ----------------------------------------------------------------------------------


def test_a_dead_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    finding = found(f"http://127.0.0.1:{port}/v1")
    assert line(finding) == (
        f"url: no connection to 127.0.0.1:{port} (Connection refused); check that the server runs, "
        "and host and port in endpoint.url"
    )
    assert finding.stops


def test_a_wrong_model_id_with_the_ids_that_are_served_nearest_first() -> None:
    served = {"data": [{"id": name} for name in ("qwen-3-8b", "llama-3.1-8b", "llama-3.1-70b")]}
    unknown = {"error": {"message": "The model `llama-3.1-8B-it` does not exist."}}
    answers: dict[str, Said] = {MODELS: (200, served), POST: (404, unknown)}
    with standing(answers) as server:
        finding = found(f"{server.url}/v1", model_id="llama-3.1-8B-it")
    assert line(finding) == (
        "model_id: the endpoint does not serve 'llama-3.1-8B-it'; it serves llama-3.1-8b, "
        "llama-3.1-70b, qwen-3-8b"
    )
    assert finding.stops


@pytest.mark.parametrize(
    ("environment", "key", "text"),
    [
        ({"KEY": "wrong"}, "KEY", "the endpoint refuses the key in KEY (HTTP 401)"),
        ({}, None, "the endpoint requires a key (HTTP 401)"),
    ],
)
def test_a_wrong_key(
    environment: dict[str, str],
    key: str | None,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with serve(api_key="right") as server:
        url, model = f"{server.url}/v1", {"model_id": "careful"}
        finding = found(url, environment, api_key_name=key, **model)
        assert found(url, {"KEY": "right"}, api_key_name="KEY", **model).problem is None
    assert line(finding).startswith(f"api_key_name: {text}: Incorrect API key provided; ")
    assert finding.stops


@pytest.mark.parametrize(
    ("kind", "answers", "text"),
    [
        ("completions", {POST: (200, CHAT)}, "answers on /chat/completions, and not on /comp"),
        ("chat", {TEXTS: (200, TEXT)}, "answers on /completions, and not on /chat/completions"),
        ("chat", {VECTORS: (200, VECTOR)}, "answers on /embeddings, and not on /chat/completions"),
        (
            "chat",
            {
                POST: (
                    400,
                    {"error": {"message": "the tokenizer does not define a chat template"}},
                ),
                TEXTS: (200, TEXT),
            },
            "answers on /completions, and not on /chat/completions",
        ),
    ],
)
def test_a_wrong_route_for_the_type(kind: str, answers: dict[str, Said], text: str) -> None:
    words, stops = said({MODELS: (200, LIST), **answers}, type=kind)
    assert words.startswith(f"type: the endpoint {text}")
    assert words.endswith(("; write chat", "; write completions", "; write embedding"))
    assert stops


@pytest.mark.parametrize("answers", [{}, {"POST /chat/completions": (200, PAGE)}])
def test_a_url_without_v1(answers: dict[str, Said]) -> None:
    working: dict[str, Said] = {MODELS: (200, LIST), POST: (200, CHAT)}
    assert said({**working, **answers}, "") == ("url: the URL lacks /v1; write URL/v1", True)
    del working[MODELS]
    assert said({**working, **answers}, "") == ("url: the URL lacks /v1; write URL/v1", True)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificate")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key -out pem"
    subprocess.run(
        ["openssl", *words.split(), "-subj", "/CN=127.0.0.1"],
        cwd=folder, check=True, capture_output=True, timeout=HUNG,
    )  # fmt: skip
    return folder


@contextmanager
def over_tls(folder: Path) -> Iterator[str]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "pem", folder / "key")
    with standing({}) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        yield server.url.removeprefix("http://")


def test_an_unknown_certificate(certificate: Path) -> None:
    with over_tls(certificate) as place:
        finding = found(f"https://{place}/v1")
    assert line(finding) == (
        f"url: no TLS with {place} (self-signed certificate); set SSL_CERT_FILE to the "
        "certificates of its authority"
    )
    assert finding.stops


def test_tls_without_a_server_of_it_and_the_reverse(certificate: Path) -> None:
    with standing({}) as server:
        finding = found(f"https{server.url[4:]}/v1")
    assert line(finding).startswith("url: no TLS with ")
    assert line(finding).endswith("; write http:// in endpoint.url if the server has no TLS")
    assert finding.stops
    with over_tls(certificate) as place:
        finding = found(f"http://{place}/v1")
    assert (line(finding), finding.stops) == ("url: the server speaks TLS; write https://", True)


def test_a_dead_proxy_and_one_that_refuses() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        dead = f"127.0.0.1:{server.getsockname()[1]}"
    finding = found("http://host.invalid/v1", {"HTTP_PROXY": dead})
    assert f"no connection to host.invalid through the proxy {dead}" in line(finding)
    assert finding.stops
    for status, stops in (("403 Forbidden", True), ("503 Unavailable", False)):
        with listening(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()) as proxy:
            finding = found("https://host.invalid/v1", {"https_proxy": f"http://{proxy}"})
        assert line(finding) == (
            f"url: the proxy answered {status} to CONNECT host.invalid:443; allow the host at the "
            "proxy, or add it to NO_PROXY"
        )
        assert finding.stops is stops


def test_a_server_that_hangs_is_a_warning() -> None:
    with listening(None) as place:
        finding = found(f"http://{place}/v1", seconds=0.1)
    assert line(finding) == "url: no answer within 0.1 s; see whether the server is busy or loads"
    assert not finding.stops


def test_a_server_that_hangs_on_the_list_alone_is_alive() -> None:
    ended = threading.Event()

    class Held(dict[str, Said]):
        def get(self, key: str, default: Any = None) -> Said:
            if key == MODELS:
                ended.wait(30)
            return super().get(key, default)

    with standing(Held({POST: (200, CHAT)})) as server:
        endpoint = Endpoint.model_validate({"url": f"{server.url}/v1", "model_id": "m"})
        probe = Probe(Target(("models.m",), endpoint), {}, 10, share=0.01)
        assert asyncio.run(probe.find()).problem is None
        ended.set()


def test_a_login_page_by_html_or_a_redirect() -> None:
    page: dict[str, Said] = {MODELS: (200, PAGE), POST: (200, PAGE)}
    assert said(page) == (
        "url: the endpoint answers text/html, no JSON: Log in; check endpoint.url, and whether a "
        "login page or a proxy answers",
        True,
    )
    assert said({POST: (302, PAGE)}) == (
        "url: the endpoint redirects to https://login.example/; write the URL of the API in "
        "endpoint.url",
        True,
    )


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (429, "the endpoint limits requests (HTTP 429): slow down"),
        (500, "the endpoint fails (HTTP 500): slow down"),
        (502, "the endpoint fails (HTTP 502): slow down"),
        (503, "the endpoint is overloaded (HTTP 503): slow down"),
        (402, "the endpoint refuses the request (HTTP 402): slow down"),
        (200, "the endpoint reports an error (HTTP 200): slow down"),
    ],
)
def test_what_a_later_request_may_not_meet_is_a_warning(status: int, text: str) -> None:
    words, stops = said({POST: (status, {"error": {"message": "slow down"}})})
    assert words.startswith(f"url: {text}")
    assert not stops
