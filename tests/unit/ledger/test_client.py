"""Tests of the ways to an endpoint: TLS, client certificates, proxies, IPv6, Unix sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from snakeval.ledger.client import Call, Client
from snakeval.ledger.connection import Broken
from snakeval.ledger.routes import route_to
from support.ledger import CHAT, Endpoint, answer, completion, raw, run, says
from support.limits import HUNG


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, and certificates of a server and of a client that it signed."""
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*arguments: str) -> None:
        subprocess.run(
            ["openssl", *arguments], cwd=folder, check=True, capture_output=True, timeout=HUNG
        )

    new = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(*new, "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1")
    for name in ("server", "client"):
        openssl(*new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        sign = ["x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key"]
        openssl(*sign, "-CAcreateserial", "-out", f"{name}.pem", "-extfile", "names")
    return folder


def server_tls(folder: Path, client_wanted: bool = False) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    if client_wanted:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(folder / "ca.pem")
    return context


@asynccontextmanager
async def endpoint(host: str = "127.0.0.1", tls: Any = None) -> AsyncIterator[Endpoint]:
    found = Endpoint(says(answer(completion("4"))))
    server = await asyncio.start_server(found.serve, host, 0, ssl=tls)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


async def ask(url: str, environment: dict[str, str] | None = None, **options: Any) -> str:
    client = Client(route_to(url, options, environment or {}))
    try:
        connection = await client.connection()
        head = await client.ask(Call("POST", CHAT, [], b"{}"), connection)
        body = b""
        while piece := await connection.piece():
            body += piece
        assert b"4" in body
        client.keep(connection)
        return head.second
    finally:
        client.close()


class Proxy:
    """A proxy that passes on and records what it is asked for."""

    def __init__(self, secret: str = "") -> None:
        self.heads: list[str] = []
        self.secret = secret
        self.place = ("", 0)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raw_head = await reader.readuntil(b"\r\n\r\n")
        head = raw_head.decode()
        self.heads.append(head)
        if self.secret and self.secret not in head:
            writer.write(raw("407 Proxy Authentication Required", ["Content-Length: 0"]))
            writer.close()
            return
        other, out = await asyncio.open_connection(*self.place)
        if head.startswith("CONNECT "):
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            out.write(raw_head)
        await asyncio.gather(self.pipe(reader, out), self.pipe(other, writer))

    async def pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def start(self, tls: Any = None) -> int:
        server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=tls)
        port: int = server.sockets[0].getsockname()[1]
        return port


def test_a_certificate_is_checked(certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with endpoint(tls=server_tls(certificates)) as server:
            url = f"https://localhost:{server.port}/"
            with pytest.raises(Broken, match="no TLS with localhost"):
                await ask(url)
            assert await ask(url, verify=str(certificates / "ca.pem")) == "200"
            assert await ask(url, verify=False) == "200"
            monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
            assert await ask(url) == "200"

    run(scenario())


def test_a_certificate_of_another_name_fails(certificates: Path) -> None:
    async def scenario() -> None:
        async with endpoint("127.0.0.2", server_tls(certificates)) as server:
            with pytest.raises(Broken, match="no TLS"):
                await ask(f"https://127.0.0.2:{server.port}/", verify=str(certificates / "ca.pem"))

    run(scenario())


def test_the_endpoint_may_want_a_client_certificate(certificates: Path) -> None:
    async def scenario() -> None:
        async with endpoint(tls=server_tls(certificates, client_wanted=True)) as server:
            url, trust = f"https://localhost:{server.port}/", str(certificates / "ca.pem")
            with pytest.raises(Broken):
                await ask(url, verify=trust)
            pair = [str(certificates / "client.pem"), str(certificates / "client.key")]
            assert await ask(url, verify=trust, cert=pair) == "200"

    run(scenario())


def test_a_proxy_of_plain_http_receives_the_whole_url() -> None:
    async def scenario() -> None:
        proxy = Proxy()
        async with endpoint() as server:
            proxy.place = ("127.0.0.1", server.port)
            port = await proxy.start()
            environment = {"http_proxy": f"http://127.0.0.1:{port}"}
            assert await ask("http://llm.corp.invalid/v1", environment) == "200"
            assert proxy.heads[0].startswith(f"POST http://llm.corp.invalid{CHAT} HTTP/1.1\r\n")
            assert server.asked[0].headers["host"] == "llm.corp.invalid"

    run(scenario())


@pytest.mark.parametrize("proxy_tls", [False, True])
def test_https_goes_through_a_tunnel(certificates: Path, proxy_tls: bool) -> None:
    async def scenario() -> None:
        proxy, trust = Proxy(), str(certificates / "ca.pem")
        async with endpoint(tls=server_tls(certificates)) as server:
            proxy.place = ("127.0.0.1", server.port)
            port = await proxy.start(server_tls(certificates) if proxy_tls else None)
            scheme = "https" if proxy_tls else "http"
            environment = {"HTTPS_PROXY": f"{scheme}://localhost:{port}"}
            url = f"https://localhost:{server.port}/"
            assert await ask(url, environment, verify=trust) == "200"
            assert proxy.heads[0].startswith(f"CONNECT localhost:{server.port} HTTP/1.1\r\n")
            assert len(server.asked) == 1

    run(scenario())


def test_a_proxy_may_want_a_password(certificates: Path) -> None:
    async def scenario() -> None:
        proxy = Proxy(secret="Basic dXNlcjpwQHNz")  # user:p@ss
        async with endpoint() as server, endpoint(tls=server_tls(certificates)) as secure:
            port = await proxy.start()
            for url, place in (
                (f"http://localhost:{server.port}/", server.port),
                (f"https://localhost:{secure.port}/", secure.port),
            ):
                proxy.place = ("127.0.0.1", place)
                with_password = {"all_proxy": f"http://user:p%40ss@127.0.0.1:{port}"}
                assert await ask(url, with_password, verify=False) == "200"
            assert "proxy-authorization" not in secure.asked[0].headers
            with pytest.raises(Broken, match="407 Proxy Authentication Required to CONNECT"):
                await ask(url, {"all_proxy": f"http://127.0.0.1:{port}"}, verify=False)

    run(scenario())


def test_a_proxy_that_does_not_answer_is_named() -> None:
    async def scenario() -> None:
        with pytest.raises(Broken, match=r"through the proxy 127\.0\.0\.1:9 "):
            await ask("http://llm.corp.invalid/", {"http_proxy": "127.0.0.1:9"})

    run(scenario())


def test_ipv6() -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6")

    async def scenario() -> None:
        async with endpoint("::1") as server:
            assert await ask(f"http://[::1]:{server.port}/") == "200"
            assert server.asked[0].headers["host"] == f"[::1]:{server.port}"

    run(scenario())


def test_a_unix_socket(tmp_path: Path) -> None:
    async def scenario() -> None:
        found = Endpoint(says(answer(completion("4"))))
        path = str(tmp_path / "server.sock")
        server = await asyncio.start_unix_server(found.serve, path)
        url = f"http+unix://{quote(path, safe='')}/v1"
        assert await ask(url, {"http_proxy": "http://127.0.0.1:9"}) == "200"
        assert found.asked[0].headers["host"] == "localhost"
        server.close()

    run(scenario())


def test_interim_answers_are_passed_over() -> None:
    async def scenario() -> None:
        async with endpoint() as server:
            early = raw("103 Early Hints", ["Link: </x>"])
            server.script = says(early + answer(completion("4")))
            assert await ask(f"http://127.0.0.1:{server.port}/") == "200"

    run(scenario())


@pytest.mark.parametrize("junk", [b"SSH-2.0-x\r\n\r\n", b"HTTP/1.1 abc x\r\n\r\n", b"\0" * 70_000])
def test_what_is_no_http_is_a_broken_answer(junk: bytes) -> None:
    async def scenario() -> None:
        async with endpoint() as server:
            server.script = says(junk)
            with pytest.raises(Broken, match="no valid HTTP"):
                await ask(f"http://127.0.0.1:{server.port}/")

    run(scenario())
