"""Answers requests of OpenAI's API for the demo server: bytes of a request in, JSON out.

The functions are pure. `server` adds sockets, counts and failures on purpose.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from snakeval.demo.items import respond

Json = dict[str, Any]

#: Features of the API that the demo server does not have; a request for one is an error.
_UNSUPPORTED = ("stream", "echo", "logprobs", "tools")
_DIMENSIONS = 8


class Refusal(Exception):
    """An error in OpenAI's shape, which the client gets instead of an answer."""

    def __init__(self, status: int, message: str, code: str) -> None:
        """Store the HTTP status, the message and OpenAI's error code."""
        super().__init__(message)
        self.status = status
        self.code = code

    def body(self) -> Json:
        """Return the JSON of the error."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": str(self), "type": kind, "param": None, "code": self.code}}


@dataclass(frozen=True)
class Route:
    """One kind of model request.

    Attributes:
        prompts: reads the prompts from a request.
        answer: builds the answer from a request and its prompts.
    """

    prompts: Callable[[Json], list[str]]
    answer: Callable[[Json, list[str]], Json]


def parse(body: bytes, models: Collection[str]) -> Json:
    """Read a request from `body`, a JSON object whose `model` is one of `models`.

    Raises:
        Refusal: the request is invalid, or it requires an unsupported feature.
    """
    try:
        request = json.loads(body)
    except ValueError:
        raise _bad_request("The body is not valid JSON.") from None
    if not isinstance(request, dict):
        raise _bad_request("The body is not a JSON object.")
    model = request.get("model")
    if not isinstance(model, str):
        raise _bad_request("The request has no 'model'.")
    if model not in models:
        raise Refusal(404, f"The model {model!r} does not exist.", "model_not_found")
    for name in _UNSUPPORTED:
        if request.get(name):
            raise _bad_request(f"The demo server does not support {name!r}.")
    if request.get("n") not in (None, 1):
        raise _bad_request("'n' must be 1, since the demo server has one answer for each prompt.")
    return request


def model_list(models: Collection[str]) -> Json:
    """Return the answer to `GET /v1/models`."""
    return {
        "object": "list",
        "data": [
            {"id": name, "object": "model", "created": 0, "owned_by": "snakeval-demo"}
            for name in models
        ],
    }


def not_found(path: str) -> Refusal:
    """Return the error for a path that the server does not have."""
    return Refusal(404, f"The demo server has no path {path}.", "unknown_url")


def _bad_request(message: str) -> Refusal:
    return Refusal(400, message, "invalid_request")


def _chat_prompts(request: Json) -> list[str]:
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise _bad_request("'messages' must be a list of at least one message.")
    return ["\n".join(_message_text(message) for message in messages)]


def _message_text(message: object) -> str:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    raise _bad_request("Each message must have a 'content' that is a text or a list of parts.")


def _texts(name: str) -> Callable[[Json], list[str]]:
    def read(request: Json) -> list[str]:
        value = request.get(name)
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list) and texts and all(isinstance(text, str) for text in texts):
            return texts
        raise _bad_request(f"{name!r} must be a string or a list of strings, not tokens.")

    return read


def _answer_chat(request: Json, prompts: list[str]) -> Json:
    return _completion(
        request,
        prompts,
        "chat.completion",
        lambda text: {"message": {"role": "assistant", "content": text}},
    )


def _answer_text(request: Json, prompts: list[str]) -> Json:
    return _completion(request, prompts, "text_completion", lambda text: {"text": text})


def _completion(request: Json, prompts: list[str], kind: str, wrap: Callable[[str], Json]) -> Json:
    choices: list[Json] = []
    written = 0
    for index, prompt in enumerate(prompts):
        tokens, reason = _generate(request, prompt)
        written += len(tokens)
        choices.append(
            {"index": index, **wrap("".join(tokens)), "logprobs": None, "finish_reason": reason}
        )
    read = sum(len(_tokens(prompt)) for prompt in prompts)
    return {
        "id": f"demo-{_digest(json.dumps(request, sort_keys=True)).hex()[:24]}",
        "object": kind,
        "created": 0,
        "model": request["model"],
        "choices": choices,
        "usage": {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        },
    }


def _generate(request: Json, prompt: str) -> tuple[list[str], str]:
    """Return the answer's tokens within the request's limits, and its `finish_reason`."""
    text = respond(request["model"], prompt)
    stops = request.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        text = text.partition(stop)[0] if stop else text
    tokens = _tokens(text)
    limit = request.get("max_tokens") or request.get("max_completion_tokens")
    if limit is None or (isinstance(limit, int) and len(tokens) <= limit):
        return tokens, "stop"
    if not isinstance(limit, int) or limit < 1:
        raise _bad_request("'max_tokens' must be a whole number above 0.")
    return tokens[:limit], "length"


def _tokens(text: str) -> list[str]:
    """Split a text into tokens: each word with the white space after it."""
    return re.findall(r"\S+\s*|\s+", text)


def _answer_embeddings(request: Json, prompts: list[str]) -> Json:
    read = sum(len(_tokens(prompt)) for prompt in prompts)
    return {
        "object": "list",
        "model": request["model"],
        "data": [
            {"object": "embedding", "index": index, "embedding": _vector(prompt)}
            for index, prompt in enumerate(prompts)
        ],
        "usage": {"prompt_tokens": read, "total_tokens": read},
    }


def _vector(text: str) -> list[float]:
    """Return a unit vector derived from the text's hash: only equal texts have equal vectors."""
    values = [byte - 127.5 for byte in _digest(text)[:_DIMENSIONS]]
    length = math.hypot(*values)
    return [value / length for value in values]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


ROUTES: Mapping[str, Route] = {
    "/v1/chat/completions": Route(_chat_prompts, _answer_chat),
    "/v1/completions": Route(_texts("prompt"), _answer_text),
    "/v1/embeddings": Route(_texts("input"), _answer_embeddings),
}
