"""Endpoints that work although they refuse something, and the request that they receive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from snakeval.config.endpoints import Endpoint, EndpointType
from snakeval.dag.endpoint_probe import one_token
from support.probed import MODELS, POST, TEXTS, VECTORS, found, line, said
from support.standing import CHAT, LIST, TEXT, VECTOR, Said, standing


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens must be at least 16",
        "Unsupported parameter: 'max_tokens'; use 'max_completion_tokens' instead",
        "The prompt exceeds 2 tokens",
        "temperature: Extra inputs are not permitted",
    ],
)
def test_a_refused_limit_or_parameter_is_no_problem(message: str) -> None:
    with standing({POST: (400, {"error": {"message": message}})}) as server:
        assert found(f"{server.url}/v1").problem is None


def test_a_server_without_a_list_of_models_is_alive_by_its_token() -> None:
    with standing({POST: (200, CHAT)}) as server:
        assert found(f"{server.url}/v1").problem is None
    assert server.paths == [MODELS, POST]


def test_a_server_that_takes_any_id_is_alive() -> None:
    with standing({MODELS: (200, LIST), POST: (200, CHAT)}) as server:
        finding = found(f"{server.url}/v1", model_id="unlisted")
    assert (finding.problem, finding.served) == (None, ("m", "other"))


def test_a_404_of_an_unlisted_model_names_the_listed_ones() -> None:
    assert said({MODELS: (200, LIST)}, model_id="n") == (
        "model_id: the endpoint does not serve 'n'; it serves m, other",
        True,
    )


def test_without_a_list_the_message_of_the_endpoint_names_a_model() -> None:
    message = "The model llama-3.1 does not exist. Available models: qwen-3, phi"
    words, stops = said({POST: (400, {"error": {"message": message}})}, model_id="llama-3.1")
    assert words == (
        "model_id: the endpoint does not serve 'llama-3.1'; correct endpoint.model_id (now "
        "llama-3.1), for example qwen-3"
    )
    assert stops


def test_no_route_at_all_is_a_wrong_url() -> None:
    words, stops = said({MODELS: (200, LIST)})
    assert words.startswith("url: the endpoint refuses the request (HTTP 404): Not Found; check")
    assert stops


def test_a_key_that_a_400_refuses() -> None:
    message = "API key not valid. Please pass a valid API key."
    words, stops = said({POST: (400, {"error": {"message": message}})})
    assert words.startswith("api_key_name: the endpoint requires a key (HTTP 400): API key")
    assert stops


def test_a_server_that_closes_twice_is_dead_and_one_that_closes_once_is_not() -> None:
    words, stops = said({POST: None, MODELS: None})
    assert words.startswith("url: the endpoint closed the connection")
    assert stops

    class Closing(dict[str, Said]):
        closed = False

        def get(self, key: str, default: Any = None) -> Said:
            if key == POST and not self.closed:
                self.closed = True
                return None
            return super().get(key, default)

    with standing(Closing({POST: (200, CHAT)})) as server:
        assert found(f"{server.url}/v1").problem is None


def test_a_unix_socket_is_asked(tmp_path: Path) -> None:
    finding = found(f"http+unix://{quote(str(tmp_path / 's'), safe='')}/v1")
    assert f"no connection to {tmp_path / 's'} (No such file or directory)" in line(finding)
    assert finding.stops


def test_no_key_is_in_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "canary-of-a-key")
    echo = {"error": {"message": "no key canary-of-a-key"}}
    words, _ = said({POST: (401, echo)}, environment={"KEY": "canary-of-a-key"}, api_key_name="KEY")
    assert "canary" not in words
    assert "refuses the key in KEY" in words


# --- the request ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {"max_tokens": 1}),
        ({"rename": {"max_tokens": "max_completion_tokens"}}, {"max_completion_tokens": 1}),
        ({"drop": ["max_tokens"]}, {"max_completion_tokens": 1}),
        (
            {"add": {"max_tokens": 4096, "best_of": 3, "reasoning_effort": "low"}},
            {"max_tokens": 1, "best_of": 1, "reasoning_effort": "low"},
        ),
    ],
)
def test_the_request_has_the_endpoints_changes_and_one_token(
    changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    endpoint = Endpoint.model_validate({"url": "http://h/v1", "model_id": "m", "request": changes})
    sent = json.loads(one_token(endpoint, EndpointType.CHAT))
    assert sent == {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **expected}


def test_key_route_and_query_are_those_of_the_endpoint() -> None:
    target = "/openai/chat/completions?api-version=1"
    with standing({f"POST {target}": (200, CHAT)}) as server:
        assert found(server.url + target, {"KEY": "k"}, api_key_name="KEY").problem is None
    assert server.paths == ["GET /openai/models?api-version=1", f"POST {target}"]
    assert {headers["Authorization"] for _, headers, _ in server.asked} == {"Bearer k"}


@pytest.mark.parametrize(
    ("kind", "path", "answer"),
    [("vlm", POST, CHAT), ("completions", TEXTS, TEXT), ("embedding", VECTORS, VECTOR)],
)
def test_each_type_is_asked_on_its_route(kind: str, path: str, answer: Any) -> None:
    with standing({path: (200, answer)}) as server:
        assert found(f"{server.url}/v1", type=kind).problem is None
    assert server.paths[1:] == [path]
