"""Defines existing endpoints: their URL, their route, and what is known of their answers."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from snakeval.config.ledger import Limits
from snakeval.config.request_changes import RequestChanges
from snakeval.config.types import ModelId, Strict, Variable


class EndpointType(StrEnum):
    """The OpenAI-compatible route on which a model answers."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    EMBEDDING = "embedding"
    VLM = "vlm"


#: The route below the base URL (https://platform.openai.com/docs/api-reference). Vision models
#: receive images through chat.
ROUTES = {
    EndpointType.CHAT: "/chat/completions",
    EndpointType.COMPLETIONS: "/completions",
    EndpointType.EMBEDDING: "/embeddings",
    EndpointType.VLM: "/chat/completions",
}


#: The path of a Unix socket is the host, with %2F for each slash.
_SOCKET = re.compile(r"https?\+unix://%2F[^/?#\s@:]+(/[^\s#]*)?", re.IGNORECASE)


def _is_host(name: str) -> bool:
    """Whether *name* is short enough for DNS, also its parts, and can be written in ASCII."""
    try:
        return 0 < len(name.rstrip(".").encode("idna")) <= 253
    except UnicodeError:
        return False


class Endpoint(Strict):
    """An existing OpenAI-compatible endpoint."""

    url: str = Field(description="base URL (…/v1), or the full URL of its route")
    model_id: ModelId = Field(min_length=1, description="the model's name at the endpoint")
    type: EndpointType = EndpointType.CHAT
    api_key_name: Variable | None = Field(default=None, description="the API key's variable")
    answers_as: ModelId | None = Field(
        default=None, min_length=1, description="the model's name that each answer must contain"
    )
    limits: Limits = Limits()
    request: RequestChanges = RequestChanges()

    @field_validator("url")
    @classmethod
    def _http(cls, value: str) -> str:
        match = re.fullmatch(r"https?://([^/?#\s@]+)(/[^\s#]*)?", value) or _SOCKET.fullmatch(value)
        try:
            host, port = urlsplit(value).hostname or "", urlsplit(value).port
        except ValueError:
            match = None
        if not match or port == 0:
            raise PydanticCustomError(
                "url",
                "is not an http(s) URL without user name and password; write http://host:port/v1, "
                "or http+unix://%2Fpath%2Fof%2Fsocket/v1 for a Unix socket",
            )
        if _SOCKET.fullmatch(value) is None and not _is_host(host):
            raise PydanticCustomError(
                "url",
                "has a host that cannot be a name in DNS, which has at most 253 characters, and 1 "
                "to 63 between two dots; correct the host",
            )
        return value.rstrip("/")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        route = self._route()
        if route and route != ROUTES[self.type]:
            fitting = next(kind for kind, path in ROUTES.items() if path == route)
            raise PydanticCustomError(
                "url",
                "its url ends with {route}, and its type is {type}; write type: {fitting}, or the "
                "base URL",
                {"route": route, "type": self.type.value, "fitting": fitting.value},
            )
        return self

    def _route(self) -> str:
        """Return the route at the end of the URL, or nothing."""
        base = self.url.partition("?")[0]
        longest_first = sorted(ROUTES.values(), key=len, reverse=True)
        return next((route for route in longest_first if base.endswith(route)), "")

    @property
    def route_url(self) -> str:
        """The full URL of the model's requests."""
        base, mark, query = self.url.partition("?")
        if not self._route():
            base = base.rstrip("/") + ROUTES[self.type]
        return base + mark + query
