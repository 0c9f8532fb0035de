"""Tests of the gateway's paths and of the token that stands in for the key."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from support.ledger import CHAT, KEY, TOKEN, Bed, ask, bed, counting, run, until

JSON = {"Content-Type": "application/json"}


async def seen(b: Bed, headers: dict[str, str], query: str = "") -> tuple[dict[str, str], str]:
    """Ask with these headers alone; return what the endpoint received."""
    path = f"/model{CHAT}{query}"
    received = await asyncio.to_thread(ask, b.port, "POST", path, b"{}", {**JSON, **headers})
    assert received.status == 200, received.body
    return b.endpoint.asked[-1].headers, b.endpoint.asked[-1].target


@pytest.mark.parametrize(
    ("headers", "query", "wanted"),
    [
        ({"Authorization": f"Bearer {TOKEN}"}, "", ("authorization", f"Bearer {KEY}")),
        ({"api-key": TOKEN}, "", ("api-key", KEY)),
        ({"X-API-Key": TOKEN}, "", ("x-api-key", KEY)),
        ({}, f"?api-version=1&api-key={TOKEN}", f"{CHAT}?api-version=1&api-key={KEY}"),
    ],
)
def test_the_key_replaces_the_token_where_the_harness_put_it(
    tmp_path: Path, headers: dict[str, str], query: str, wanted: Any
) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting()) as b:
            found, target = await seen(b, headers, query)
            if isinstance(wanted, str):
                assert target == wanted
            else:
                assert found[wanted[0]] == wanted[1]
            assert TOKEN not in f"{found} {target}"

    run(scenario())


def test_an_endpoint_may_want_its_key_in_another_header(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting(), auth="api-key") as b:
            found, _ = await seen(b, {"Authorization": f"Bearer {TOKEN}"})
            assert found["api-key"] == KEY
            assert "authorization" not in found

    run(scenario())


def test_the_query_of_the_endpoints_url_is_added_if_the_harness_lost_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path / "first", counting()) as b:
            url = f"http://127.0.0.1:{b.endpoint.port}{CHAT}?api-version=1"
            async with bed(tmp_path / "second", counting(), url=url) as other:
                other.endpoint = b.endpoint
                for query in ("", "?api-version=1"):
                    _, target = await seen(other, {"Authorization": f"Bearer {TOKEN}"}, query)
                    assert target == f"{CHAT}?api-version=1"

    run(scenario())


def test_an_answer_is_replayed_to_the_token_of_the_next_attempt(tmp_path: Path) -> None:
    async def scenario() -> None:
        for token, asked in (("first-token", 1), ("second-token", 0)):
            async with bed(tmp_path, counting(), token=token) as b:
                path = f"{CHAT}?key={token}"
                await b.ask("POST", path, b"{}", {"Authorization": ""})
                assert len(b.endpoint.asked) == asked

    run(scenario())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": TOKEN[:-1]},
        {"Authorization": f"Bearer {KEY}"},
        {"X-Other": TOKEN},
    ],
)
def test_without_the_token_no_request_passes(tmp_path: Path, headers: dict[str, str]) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting()) as b:
            received = await b.ask("POST", CHAT, b"{}", {"Authorization": "", **headers})
            assert received.status == 401
            assert KEY.encode() not in received.body
            assert b.endpoint.asked == []

    run(scenario())


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 200), ({"Authorization": "Bearer wrong"}, 401)]
)
def test_a_tokenizer_is_asked_without_a_key_as_harnesses_do_it(
    tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting()) as b:
            sent = {"Authorization": "", **headers}
            for method, path in (("GET", "/tokenizer_info"), ("POST", "/tokenize")):
                received = await b.ask(method, path, b"{}" if method == "POST" else b"", sent)
                assert received.status == status
            assert len(b.endpoint.asked) == (2 if status == 200 else 0)
            assert not any(KEY in str(asked.headers) for asked in b.endpoint.asked)

    run(scenario())


def test_a_path_of_no_upstream_lists_the_upstreams(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting()) as b:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            received = await asyncio.to_thread(ask, b.port, "GET", "/v1/models", b"", headers)
            assert received.status == 404
            assert "/model/" in received.data["error"]["message"]

    run(scenario())


def test_an_endpoint_without_a_key_receives_neither_token_nor_key(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting(), key="") as b:
            found, _ = await seen(b, {"Authorization": f"Bearer {TOKEN}"})
            assert "authorization" not in found

    run(scenario())


def test_without_a_token_the_key_is_added(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting(), token="") as b:
            found, _ = await seen(b, {})
            assert found["authorization"] == f"Bearer {KEY}"

    run(scenario())


def test_a_harness_without_a_key_has_the_token_in_its_url(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting(), key="") as b:
            path = f"/{TOKEN}/model{CHAT}"
            headers = {**JSON, "Authorization": "Bearer EMPTY"}
            received = await asyncio.to_thread(ask, b.port, "POST", path, b"{}", headers)
            assert received.status == 200, received.body
            asked = b.endpoint.asked[-1]
            assert (asked.target, asked.headers["authorization"]) == (CHAT, "Bearer EMPTY")
            wrong = path.replace(TOKEN, "0" * 32)
            for other in (wrong, f"/model{CHAT}"):
                received = await asyncio.to_thread(ask, b.port, "POST", other, b"{}", headers)
                assert received.status in (401, 404)
            assert len(b.endpoint.asked) == 1

    run(scenario())


def test_a_request_waits_until_its_model_is_served_again_and_then_goes_at_once(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting(), served=True) as b:
            upstream = b.gateway.upstreams["model"]
            url = upstream.options["url"]
            upstream.move("http://127.0.0.1:9/v1")  # nothing listens there
            waiting = asyncio.ensure_future(b.post({"model": "m"}))
            # The pauses grow, so without an order the request would wait for seconds.
            await until(lambda: b.counts["causes"].get("broken", 0) >= 4)
            upstream.move(url)
            received = await asyncio.wait_for(waiting, 1)
            assert received.status == 200

    run(scenario())


def test_the_summary_says_that_requests_wait_long_for_the_limit(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with bed(tmp_path, counting(), requests_per_minute=0.2) as b:
            await b.post({"model": "m"})
            assert b.counts["waiting"] == {}
            waiting = asyncio.ensure_future(b.post({"model": "m"}))
            await until(lambda: bool(b.counts["waiting"]))
            found = b.counts["waiting"]
            assert (found["cause"], found["requests"]) == ("limit", 1)
            assert 200 < found["seconds"] <= 300
            b.gateway.drain()
            assert (await waiting).status == 503

    run(scenario())
