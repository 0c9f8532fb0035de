"""Reported failures, from what the endpoint answers to the reason: a real gateway, no processes."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snakeval.evaluation.definition import Evaluation
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.jobs.failure import failure_of
from snakeval.matrix.expand import expand
from snakeval.runtimes import Outcome
from support.configs import changed, config
from support.ledger import CHAT, KEY, Asked, Bed, Script, answer, bed, completion, raw, run, says

#: The end of lm-evaluation-harness's log, whatever the endpoint answered.
LOG = """Traceback (most recent call last):
  File "lm_eval/models/api_models.py", line 1, in amodel_call
aiohttp.client_exceptions.ServerDisconnectedError: Server disconnected
"""
NGINX = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>nginx</body></html>\r\n"
SENT = {"model": "careful", "messages": [], "max_tokens": 32, "stop": ["x"], "temperature": 0}


def error(status: str, message: str, code: str = "", param: str = "") -> bytes:
    """Return an error of OpenAI's form, indented as OpenAI indents it."""
    body = json.dumps({"error": {"message": message, "code": code, "param": param}}, indent=2)
    kind = ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return raw(status, kind, body.encode())


def page(status: str, body: str, kind: str = "text/html") -> bytes:
    return raw(status, [f"Content-Type: {kind}", f"Content-Length: {len(body)}"], body.encode())


def refuses(asked: Asked) -> bytes:
    """Answer as OpenAI's o-series does."""
    sent = asked.data
    if "max_tokens" in sent:
        text = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
            "'max_completion_tokens' instead."
        )
        return error("400 Bad Request", text, "unsupported_parameter", "max_tokens")
    if sent.get("stop") is not None:
        text = "Unsupported parameter: 'stop' is not supported with this model."
        return error("400 Bad Request", text, "unsupported_parameter", "stop")
    if sent.get("temperature", 1) != 1:
        text = (
            "Unsupported value: 'temperature' does not support 0 with this model. Only the "
            "default (1) value is supported."
        )
        return error("400 Bad Request", text, "unsupported_value", "temperature")
    return answer(completion("4"))


def by(reply: Callable[[Asked], bytes]) -> Script:
    async def script(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(asked))

    return script


async def silent(asked: Asked, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(1800)


async def closing(asked: Asked, writer: asyncio.StreamWriter) -> None:
    writer.close()


def evaluation(directory: Path, **endpoint: Any) -> Evaluation:
    whole = {"url": "http://127.0.0.1:9/v1", "model_id": "careful", **endpoint}
    (made,) = expand(config(directory, changed("models", "m", "endpoint", to=whole)))
    return made


def reason_of(directory: Path, b: Bed, made: Evaluation) -> str:
    """Return the reason of a harness that ended with an error after these requests."""
    found = EvaluationDirectory(directory / "run/m/b")
    found.requests.mkdir(parents=True, exist_ok=True)
    upstreams = {"m": b.gateway.data()["upstreams"]["model"]}
    (found.requests / "summary.json").write_text(json.dumps({"upstreams": upstreams}))
    (directory / "log").write_text(LOG)
    reason = failure_of(made, Outcome(1), directory / "log", directory=found).reason
    assert len(reason) <= 300
    return reason


def reason(directory: Path, script: Script, made: Evaluation, **options: Any) -> str:
    """Ask twice; return the reason without the port and the times."""
    found = ""

    async def scenario() -> None:
        nonlocal found
        options.setdefault("tries", 1)
        async with bed(directory / "journal", script, **options) as b:
            for number in range(2):
                await b.post(SENT | {"user": str(number)})
            found = reason_of(directory, b, made)

    run(scenario())
    return re.sub(r", (?:at )?[\d:]{8}(?: to [\d:]{8})? UTC|:\d{4,5}(?=/|\b)", "", found)


WHERE = f"2 of 2 requests, POST http://127.0.0.1{CHAT}"


@pytest.mark.parametrize(
    ("script", "options", "expected"),
    [
        pytest.param(
            answer({"error": {"message": "upstream provider overloaded", "code": 529}}),
            {"tries": 2},
            "the endpoint reports an error: upstream provider overloaded; see the endpoint's log "
            f"(HTTP 200, 2 of 2 requests, 4 tries, POST http://127.0.0.1{CHAT})",
            id="02 error in a 200",
        ),
        pytest.param(
            page("502 Bad Gateway", NGINX),
            {},
            f"the endpoint fails: 502 Bad Gateway; see the endpoint's log (HTTP 502, {WHERE})",
            id="05 a page",
        ),
        pytest.param(
            silent,
            {"timeout": 0.05},
            f"no answer within 0.05 s; raise request_timeout ({WHERE})",
            id="06 slow",
        ),
        pytest.param(
            page("200 OK", "<html><body>Sign in</body></html>"),
            {},
            "the endpoint answers text/html, no JSON: Sign in; check endpoint.url, and whether a "
            f"login page or a proxy answers (HTTP 200, {WHERE})",
            id="06 a login page",
        ),
        pytest.param(
            page("200 OK", json.dumps(completion("4")), "text/plain"),
            {},
            "the endpoint sends JSON as text/plain; send it as application/json, then resume with "
            f"--ask-again all (HTTP 200, 2 times, POST http://127.0.0.1{CHAT})",
            id="06 JSON as text",
        ),
        pytest.param(
            answer({"choices": []}),
            {},
            f"an answer without choices; see the endpoint's log (HTTP 200, {WHERE})",
            id="06 no choices",
        ),
        pytest.param(
            answer({"error": "slow down"}, "429 Too Many Requests", "Retry-After: 7200"),
            {"deadline": 3600},
            "the endpoint asks to wait 7200 s, longer than its patience (3600 s): slow down; raise "
            f"endpoint.limits.patience (HTTP 429, {WHERE})",
            id="07 Retry-After beyond the patience",
        ),
        pytest.param(
            answer(
                {
                    "object": "error",
                    "message": {
                        "detail": [
                            {"loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}
                        ]
                    },
                },
                "422 Unprocessable Entity",
            ),
            {},
            "the endpoint refuses seed: body.seed: Extra inputs are not permitted; write "
            f"endpoint.request: {{drop: [seed]}} (HTTP 422, {WHERE})",
            id="09 seed",
        ),
        pytest.param(
            error("404 Not Found", "The model `careful` does not exist.", "model_not_found"),
            {},
            "the endpoint refuses the request: The model `careful` does not exist; correct "
            f"endpoint.model_id (now careful) (HTTP 404, {WHERE})",
            id="08 a wrong model",
        ),
        pytest.param(
            closing,
            {},
            f"the endpoint closed the connection; see the endpoint's log ({WHERE})",
            id="a closed connection",
        ),
    ],
)
def test_the_reason_of_a_reported_failure(
    tmp_path: Path, script: Script | bytes, options: dict[str, Any], expected: str
) -> None:
    made = evaluation(tmp_path)
    asked = says(script) if isinstance(script, bytes) else script
    assert reason(tmp_path, asked, made, **options) == expected


def test_a_refused_key_names_its_variable_and_never_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_KEY", KEY)
    made = evaluation(tmp_path, api_key_name="FAKE_KEY")
    text = f"Incorrect API key provided: {KEY}. You can find your API key in your account."
    found = reason(tmp_path, says(error("401 Unauthorized", text)), made)
    assert found == (
        f"the endpoint refuses the key in FAKE_KEY: Incorrect API key provided: {'*' * len(KEY)}. "
        f"You can find your API key in your account; correct FAKE_KEY (HTTP 401, {WHERE})"
    )


def test_each_reason_of_an_o_series_model_has_the_next_line_and_the_last_one_works(
    tmp_path: Path,
) -> None:
    lines = []
    for number, changes in enumerate(
        (
            {},
            {"rename": {"max_tokens": "max_completion_tokens"}},
            {"rename": {"max_tokens": "max_completion_tokens"}, "drop": ["stop"]},
        )
    ):
        # A journal keeps refusals, and other changes are another identity of its answers.
        (place := tmp_path / str(number)).mkdir()
        made = evaluation(place, request=changes)
        found = reason(place, by(refuses), made, request=changes)
        lines.append(found.partition("; write endpoint.request: ")[2].partition(" (HTTP 400")[0])
    assert lines == [
        "{rename: {max_tokens: max_completion_tokens}}",
        "{rename: {max_tokens: max_completion_tokens}, drop: [stop]}",
        "{rename: {max_tokens: max_completion_tokens}, drop: [stop, temperature]}",
    ]

    async def scenario() -> None:
        drop = ["stop", "temperature"]
        last = {"rename": {"max_tokens": "max_completion_tokens"}, "drop": drop}
        async with bed(tmp_path / "journal", by(refuses), request=last) as b:
            assert (await b.post(SENT)).status == 200
            assert b.counts["faults"] == []

    run(scenario())


def test_an_endpoint_without_tls_names_the_scheme(tmp_path: Path) -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(1) and raw("400 Bad Request", ["Content-Length: 0"]))
        writer.close()

    async def scenario() -> None:
        server = await asyncio.start_server(plain, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        url = f"https://127.0.0.1:{port}{CHAT}"
        async with bed(tmp_path / "journal", silent, url=url, tries=1) as b:
            await b.post(SENT)
            found = reason_of(tmp_path, b, evaluation(tmp_path))
        server.close()
        assert found.startswith(f"no TLS with 127.0.0.1:{port} (")
        assert "; write http:// in endpoint.url if the server has no TLS (1 of 1 requests" in found

    run(scenario())


def test_a_proxy_that_refuses_a_tunnel_is_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        proxy = says(raw("407 Proxy Authentication Required", ["Content-Length: 0"]))
        async with bed(tmp_path / "proxy", proxy) as p:
            way = {"proxy": f"http://127.0.0.1:{p.endpoint.port}", "tries": 1}
            url = f"https://api.invalid{CHAT}"
            async with bed(tmp_path / "journal", silent, url=url, **way) as b:
                await b.post(SENT)
                found = reason_of(tmp_path, b, evaluation(tmp_path))
        assert found.startswith(
            "the proxy answered 407 Proxy Authentication Required to CONNECT api.invalid:443; "
            "write user and password of the proxy in HTTPS_PROXY (1 of 1 requests, POST https://api"
        )

    run(scenario())
