"""The gateway: one server, several upstreams, a token in place of the keys."""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable
from urllib.parse import parse_qsl, urlencode

from snakeval.ledger import answers
from snakeval.ledger.accounts import spending_of
from snakeval.ledger.flights import HELPERS
from snakeval.ledger.http import Headers
from snakeval.ledger.outcome import Outcome, problem
from snakeval.ledger.pulse import Pulse
from snakeval.ledger.server import Reply, Request, Server
from snakeval.ledger.summary import folder_of
from snakeval.ledger.upstream import Upstream

#: Headers in which clients send keys.
_KEY_HEADERS = frozenset({"authorization", "api-key", "x-api-key", "x-goog-api-key"})


class Gateway:
    """All upstreams of one evaluation.

    Args:
        config: as :mod:`snakeval.ledger.__main__` describes it.
        fatal: receives the reason why no answer may be passed on any more.
        used_up: receives the kinds of the run's budget that are used up; the gateway ends then.

    Raises:
        BadRoute: a URL, a proxy or a certificate cannot be used.
        OSError: a journal cannot be read.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        fatal: Callable[[str], None],
        used_up: Callable[[list[str]], None] = lambda kinds: None,
    ) -> None:
        self._token = str(config.get("token") or "")
        directory, mode = Path(config["directory"]), str(config.get("mode", "on"))
        self._used_up = used_up
        self.spending = spending_of(config.get("budget"), directory, mode, self._use_up)
        self.upstreams = {
            name: Upstream(
                name,
                options,
                folder_of(directory, name),
                mode,
                bool(options.get("offline", config.get("offline"))),
                fatal,
                self.spending,
            )
            for name, options in config["upstreams"].items()
        }
        self.pulse = Pulse()
        self.server = Server(self._serve, self.pulse)
        self.draining = False

    @property
    def under_way(self) -> int:
        """How many flights have not ended."""
        return sum(upstream.flights.under_way for upstream in self.upstreams.values())

    def drain(self) -> None:
        """Refuse new requests; those at the endpoints end, and their answers are kept."""
        self.draining = True
        for upstream in self.upstreams.values():
            upstream.flights.drain()

    def _use_up(self, kinds: list[str]) -> None:
        self.drain()
        self._used_up(kinds)

    def data(self) -> dict[str, Any]:
        """Return the summary as JSON data."""
        parts = {name: upstream.data() for name, upstream in self.upstreams.items()}
        data = {"format": 1, "draining": self.draining, "upstreams": parts}
        return data | ({"given_up": given_up} if (given_up := self.pulse.given_up) else {})

    async def close(self) -> None:
        """End all flights, and close all connections and journals."""
        for upstream in self.upstreams.values():
            upstream.flights.abort()
        await self.server.close()
        for upstream in self.upstreams.values():
            upstream.close()
        if self.spending is not None:
            # The next gateway of the evaluation ends an account that is left open.
            with contextlib.suppress(OSError):
                self.spending.end()

    async def _serve(self, request: Request, reply: Reply) -> None:
        request = plain(request)
        name, slash, rest = request.target.lstrip("/").partition("/")
        # Harnesses send no key to an endpoint without one; they have the token in their URL.
        known = bool(self._token) and same(name, self._token)
        if known:
            name, slash, rest = rest.partition("/")
        upstream = self.upstreams.get(name)
        if upstream is None:
            names = ", ".join(f"/{known}/" for known in self.upstreams)
            await _send(reply, problem(404, f"no upstream has this path; paths begin with {names}"))
            return
        token = "" if known else self._token
        opened = self._opened(request, slash + rest or "/", upstream, token)
        if opened is None:
            text = "the token of this attempt is missing or wrong"
            await _send(reply, problem(401, text, "token"))
            return
        await upstream.flights.serve(opened, reply)

    def _opened(
        self, request: Request, target: str, upstream: Upstream, token: str
    ) -> Request | None:
        """Return the request to *target* with the key in place of the token.

        Without the right token the method returns None, except for a tokenizer's route without any
        token. Harnesses such as lm-eval ask it without a key, and many servers guard ``/v1`` alone,
        so the endpoint receives the request without a key and decides.
        """
        path, _, query = target.partition("?")
        pairs = parse_qsl(query, keep_blank_values=True) if query else []
        headers, secret, found = with_key(request.headers, pairs, token, upstream)
        if not found:
            is_open = path.endswith(HELPERS) and not _names_key(request.headers)
            return replace(request, target=target) if is_open else None
        if secret:
            names = {name for name, _ in secret}
            rest = urlencode([pair for pair in pairs if pair[0] not in names])
            target = f"{path}?{rest}" if rest else path
        secret = [pair for pair in secret if pair[1]]
        return replace(request, target=target, headers=headers, secret=tuple(secret))


def plain(request: Request) -> Request:
    """Return a request with its path alone and its body as it was before a compression.

    A target may be a whole URL (RFC 9112, 3.2.2). A compressed body may hold its time, and equal
    requests would differ.
    """
    target, headers, body = request.target, request.headers, request.body
    if target.lower().startswith(("http://", "https://")):
        target = "/" + target.split("/", 3)[-1] if target.count("/") > 2 else "/"
    if any(name.lower() == "content-encoding" for name, _ in headers):
        found = answers.decoded(headers, body)
        if found is not None:
            headers = [pair for pair in headers if pair[0].lower() != "content-encoding"]
            body = found
    return replace(request, target=target, headers=headers, body=body)


def with_key(
    headers: Headers, query: list[tuple[str, str]], token: str, upstream: Upstream
) -> tuple[Headers, list[tuple[str, str]], bool]:
    """Return headers and secret query parameters with the key, and whether the token was right.

    The key goes where the harness put the token, or where ``auth`` of the configuration says.
    """
    found, passed, secret = not token, [], []
    for name, text in headers:
        scheme, value = _parted(text)
        if name.lower() in _KEY_HEADERS and (not token or same(value, token)):
            found = True
            if token and upstream.key and not upstream.auth:
                passed.append((name, scheme + upstream.key))
            elif not token and not upstream.key:
                passed.append((name, text))
        else:
            passed.append((name, text))
    for name, text in query:
        if token and same(text, token):
            found = True
            secret.append((name, "" if upstream.auth else upstream.key))
    if upstream.key and (upstream.auth or not token):
        name = upstream.auth or "Authorization"
        bearer = "Bearer " if name.lower() == "authorization" else ""
        passed.append((name, bearer + upstream.key))
    return passed, secret, found


def _names_key(headers: Headers) -> bool:
    return any(text and name.lower() in _KEY_HEADERS for name, text in headers)


def _parted(text: str) -> tuple[str, str]:
    """Return scheme and credentials of an ``Authorization`` header (RFC 9110, 11.4)."""
    scheme, blank, rest = text.partition(" ")
    return (scheme + blank, rest.strip()) if blank else ("", text.strip())


def same(text: str, token: str) -> bool:
    """Compare in a time that does not depend on where the texts differ."""
    return hmac.compare_digest(text.encode("latin-1", "replace"), token.encode())


async def _send(reply: Reply, outcome: Outcome) -> None:
    await reply.send(outcome.status, outcome.reason, outcome.headers, outcome.body)
