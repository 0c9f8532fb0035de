"""One endpoint of a gateway: its journal, its limit, its way, and what it receives."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable
from urllib.parse import parse_qsl, urlencode, urlsplit

from snakeval.ledger import answers, http
from snakeval.ledger.asking import Asker
from snakeval.ledger.changes import NO_CHANGES, Changes
from snakeval.ledger.client import Call, Client
from snakeval.ledger.counts import Counts
from snakeval.ledger.flights import HELPERS, Flights
from snakeval.ledger.gate import Gate
from snakeval.ledger.http import Headers
from snakeval.ledger.journal import Journal
from snakeval.ledger.limit import Bounds, Limit
from snakeval.ledger.memory import Memory
from snakeval.ledger.retries import patience_of
from snakeval.ledger.routes import route_to
from snakeval.ledger.server import Request
from snakeval.ledger.spending import Paid, Spending

#: Headers that the gateway writes itself.
_OWN = frozenset({"host", "content-length", "expect", "accept-encoding"})
#: Seconds of one try, if the configuration names none.
TIMEOUT = 300.0
#: Seconds for which requests wait for the limit before the summary says so.
LONG = 10.0


@dataclass(frozen=True)
class Endpoint:
    """The changes to a request before the endpoint receives it.

    Attributes:
        query: parameters of the endpoint's URL, for example Azure's ``api-version``.
        request: changes to JSON bodies that ask the model.
        headers: headers that every request receives.
    """

    query: tuple[tuple[str, str], ...] = ()
    request: Changes = NO_CHANGES
    headers: tuple[tuple[str, str], ...] = ()

    def prepare(self, request: Request, slot: int) -> Call:
        """Return what the endpoint receives for the request in *slot*."""
        body, changes = self._body(request, slot)
        own = {name.lower() for name, _ in self.headers}
        passed = [
            pair
            for pair in http.end_to_end(request.headers)
            if pair[0].lower() not in _OWN and pair[0].lower() not in own
        ]
        coding = _codings(request.headers, bool(changes.pop("stream", False)))
        headers = [*passed, ("Accept-Encoding", coding), *self.headers]
        return Call(request.method, self._target(request), headers, body, changes)

    def _target(self, request: Request) -> str:
        path, mark, query = request.target.partition("?")
        known = {name for name, _ in parse_qsl(query, keep_blank_values=True)}
        more = [pair for pair in (*self.query, *request.secret) if pair[0] not in known]
        if more:
            query = "&".join(filter(None, (query, urlencode(more))))
        return f"{path}?{query}" if query else path + mark

    def _body(self, request: Request, slot: int) -> tuple[bytes, dict[str, Any]]:
        """Return the body, and which members differ; ``stream`` is there if it asks for one."""
        data = answers.parsed(request.body) if request.body[:64].lstrip()[:1] == b"{" else None
        if not isinstance(data, dict):
            return request.body, {}
        is_helper = request.target.partition("?")[0].endswith(HELPERS)
        made, changes = (NO_CHANGES if is_helper else self.request).made(data, slot)
        stream = {"stream": True} if data.get("stream") is True else {}
        if not changes:
            return request.body, stream
        return json.dumps(made).encode(), {**changes, **stream}


def _codings(headers: Headers, stream: bool) -> str:
    """Return the content codings that the harness and the gateway both read.

    A stream is not coded, so that its events pass at once (RFC 9110, 12.5.3).
    """
    wanted = http.tokens(http.values(headers, "accept-encoding"))
    known = {
        name.partition(";")[0].strip()
        for name in wanted
        if "q=0" not in name.split(";")[-1] or "q=0." in name
    }
    found = [name for name in answers.CODINGS if name in known and not stream]
    return ", ".join(found) or "identity"


class Upstream:
    """One endpoint of a gateway.

    Args:
        name: the first segment of its paths at the gateway.
        options: of the configuration; ``docs`` of :mod:`snakeval.ledger.__main__` lists them.
        directory: of its journal.
        mode: ``on`` or ``memory``; *offline*: the journal alone answers.
        fatal: receives the reason why no answer may be passed on any more.
        spending: the account that pays, if the run has a budget.
    """

    def __init__(
        self,
        name: str,
        options: Mapping[str, Any],
        directory: Path,
        mode: str,
        offline: bool,
        fatal: Callable[[str], None],
        spending: Spending | None = None,
    ) -> None:
        self.name, self.options = name, options
        self.key, self.auth = str(options.get("key") or ""), str(options.get("auth") or "")
        self.counts = Counts()
        self.journal: Journal | Memory = (
            Memory()
            if mode == "memory"
            else Journal(directory, options["identity"], spending.id if spending else "")
        )
        self.limit = Limit(bounds_of(options), time.monotonic())
        self.asker = None if offline else self._asker(spending)
        endpoint = Endpoint(
            tuple(parse_qsl(urlsplit(options["url"]).query)),
            Changes.of(options.get("request")),
            tuple((options.get("headers") or {}).items()),
        )
        self.flights = Flights(self.journal, self.asker, endpoint.prepare, self.counts, fatal)

    def _asker(self, spending: Spending | None) -> Asker:
        client = Client(self._route(self.options["url"]))
        timeout = float(self.options.get("timeout") or TIMEOUT)
        patience = patience_of(self.options)
        gate, paid = Gate(self.limit), Paid(spending, self.options.get("prices") or {})
        exact = bool(self.options.get("exact"))
        return Asker(
            client, gate, patience, timeout, self.counts.cause, self.key, paid=paid, exact=exact
        )

    def _route(self, url: str) -> Any:
        options = dict(self.options)
        if options.get("served"):
            # A proxy does not know the machines on which snakeval serves.
            options["proxy"] = False
        return route_to(url, options, os.environ)

    def move(self, url: str) -> None:
        """Ask at another URL from now on: the pool started the model's server again elsewhere."""
        if self.asker is not None:
            self.asker.client.close()
            self.asker.client = Client(self._route(url))
            self.asker.wake()

    def data(self) -> dict[str, Any]:
        """Return the summary as JSON data."""
        gate = self.asker.gate if self.asker is not None else None
        return {
            **self.counts.data(self.journal.kept),
            "faults": self.asker.faults.data() if self.asker is not None else [],
            "waiting": self._waiting(),
            "identity": self.options["identity"],
            "in_flight": self.asker.in_flight if self.asker is not None else 0,
            "queued": gate.queued if gate is not None else 0,
            "window": round(self.limit.window, 1),
            "pace": round(self.limit.pace, 3),
        }

    def _waiting(self) -> dict[str, Any]:
        """Return what requests wait for: their next try, or long for the limit."""
        if self.asker is None:
            return {}
        held = self.asker.gate.held
        limit = {"cause": "limit", "seconds": round(held, 1), "requests": self.asker.gate.queued}
        return self.asker.pauses.data() or (limit if held >= LONG else {})

    def close(self) -> None:
        """Close the connections and the journal."""
        self.flights.conclude()
        if self.asker is not None:
            self.asker.client.close()
        self.journal.close()


def bounds_of(options: Mapping[str, Any]) -> Bounds:
    """Return the bounds of the limit that a configuration says."""
    known = Bounds()
    return Bounds(
        float(options.get("start", known.start)),
        float(options.get("ceiling", known.ceiling)),
        float(options.get("timeout") or TIMEOUT),
        float(options.get("requests_per_minute") or 0),
        float(options.get("tokens_per_minute") or 0),
    )
