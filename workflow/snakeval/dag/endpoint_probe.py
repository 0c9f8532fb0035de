"""Asks one endpoint for its models and for one token, and finds out what is wrong with it.

The requests go the way of the ledger's gateway (proxies, TLS, Unix sockets), but not through it, so
no journal, limit or budget of a run knows of them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from snakeval import __version__
from snakeval.config.endpoints import ROUTES, Endpoint, EndpointType
from snakeval.dag import endpoint_words as words
from snakeval.dag.endpoint_words import Finding, Target
from snakeval.jobs.fault_words import UNVERSIONED
from snakeval.ledger import answers, faults
from snakeval.ledger.asking import Asker
from snakeval.ledger.changes import Changes
from snakeval.ledger.client import Call, Client
from snakeval.ledger.connection import Broken
from snakeval.ledger.faults import Fault
from snakeval.ledger.gate import Gate
from snakeval.ledger.limit import Bounds, Limit
from snakeval.ledger.outcome import Outcome, Passing
from snakeval.ledger.retries import Patience
from snakeval.ledger.routes import BadRoute, route_to

#: Lets operators see which requests are not those of an evaluation.
_AGENT = f"snakeval-preflight/{__version__}"
#: Members of a request that limit its answer, by any name, or multiply it.
_LIMITS = ("max_tokens", "max_completion_tokens", "max_new_tokens", "max_output_tokens")
_ONE = (*_LIMITS, "n", "best_of")
#: The types of other routes that a model may answer on.
_TYPES = (EndpointType.CHAT, EndpointType.COMPLETIONS, EndpointType.EMBEDDING)
_CONTENT: Mapping[EndpointType, dict[str, Any]] = {
    EndpointType.CHAT: {"messages": [{"role": "user", "content": "Hi"}]},
    EndpointType.COMPLETIONS: {"prompt": "Hi"},
    EndpointType.EMBEDDING: {"input": "Hi"},
    EndpointType.VLM: {"messages": [{"role": "user", "content": "Hi"}]},
}


@dataclass(frozen=True)
class _Answer:
    outcome: Outcome
    fault: Fault | None

    @property
    def is_alive(self) -> bool:
        return words.is_alive(self.outcome.status, self.fault)

    @property
    def data(self) -> Any:
        """The JSON of a sound answer, or None."""
        if self.outcome.status != 200:
            return None
        return answers.parsed(answers.decoded(self.outcome.headers, self.outcome.body) or b"")

    @property
    def models(self) -> tuple[str, ...]:
        """The ids in a list of models, in any form in which servers send it."""
        data = self.data
        if isinstance(data, dict):
            data = data.get("data") or data.get("models")
        items = data if isinstance(data, list) else []
        found = (each.get("id") or each.get("name") for each in items if isinstance(each, dict))
        return tuple(name for name in found if isinstance(name, str))


def one_token(endpoint: Endpoint, kind: EndpointType) -> bytes:
    """Return the request for one token on the route of *kind*, as the endpoint receives it."""
    data: dict[str, Any] = {"model": endpoint.model_id, **_CONTENT[kind]}
    if kind is not EndpointType.EMBEDDING:
        data["max_tokens"] = 1
    made, _ = Changes.of(endpoint.request.identity).made(data, 0)
    made |= {name: 1 for name in _ONE if name in made}
    if kind is not EndpointType.EMBEDDING and not any(name in made for name in _LIMITS):
        made["max_completion_tokens"] = 1  # no answer may become long
    return json.dumps(made).encode()


class Probe:
    """The requests to one endpoint, which end within *seconds*.

    The list of models may take *share* of them, since a server may hang on that route alone.
    """

    def __init__(
        self,
        target: Target,
        environment: Mapping[str, str],
        seconds: float,
        share: float = 0.5,
    ) -> None:
        self._target, self._endpoint = target, target.endpoint
        self._environment, self._seconds, self._share = environment, seconds, share
        self._key = environment.get(self._endpoint.api_key_name or "", "")
        self._asked = words.asked_of(target, self._endpoint.request.identity, seconds)
        self._until = 0.0

    async def list_models(self) -> Finding:
        """Return the models that the endpoint lists, or why it lists none."""
        self._until = asyncio.get_running_loop().time() + self._seconds
        listed = await self._ask(self._models_url)
        if listed.fault is not None:
            return words.of_fault(self._target, listed.fault, self._asked)
        return Finding(self._target, served=listed.models)

    async def find_tokenizer(self) -> Finding:
        """Return whether the server answers for its tokenizer, asked as lm-eval asks."""
        self._until = asyncio.get_running_loop().time() + self._seconds
        base = self._endpoint.route_url.partition("?")[0].replace("/v1/completions", "").rstrip("/")
        about = (await self._ask(f"{base}/tokenizer_info")).data
        if not isinstance(about, dict) or "eos_token" not in about:
            return Finding(self._target)
        text = json.dumps({"prompt": "test", "add_special_tokens": False}).encode()
        made = (await self._ask(f"{base}/tokenize", text)).data
        tokenizes = isinstance(made, dict) and isinstance(made.get("tokens"), list)
        return Finding(self._target, tokenizes=tokenizes)

    @property
    def _models_url(self) -> str:
        route, mark, query = self._endpoint.route_url.partition("?")
        return f"{route.removesuffix(ROUTES[self._endpoint.type])}/models{mark}{query}"

    async def find(self) -> Finding:
        """Return what is wrong with the endpoint, if anything is."""
        self._until = asyncio.get_running_loop().time() + self._seconds
        try:
            listed = await self._ask(self._models_url, share=self._share)
            if listed.fault is not None and _is_unreachable(listed.fault):
                return await self._broken(listed.fault)
            answer = await self._ask_token(self._endpoint.route_url, self._endpoint.type)
            if answer.fault is not None and _closed(answer.fault):
                answer = await self._ask_token(self._endpoint.route_url, self._endpoint.type)
            if answer.is_alive:
                return Finding(self._target, served=listed.models)
            return await self._cause(answer, listed)
        except BadRoute as error:
            problem = self._target.problem(str(error), hint="correct it, or the proxy's variable")
            return Finding(self._target, problem, stops=True)
        except UnicodeError:
            problem = self._target.problem("no valid host", hint="correct it")
            return Finding(self._target, problem, stops=True)

    async def _cause(self, answer: _Answer, listed: _Answer) -> Finding:
        target, fault, model = self._target, answer.fault, self._endpoint.model_id
        assert fault is not None
        if fault.kind == answers.LATE:
            return words.late(target, self._seconds)
        if fault.kind == answers.BROKEN:
            return await self._broken(fault)
        if words.is_of_key(fault) or fault.kind in (answers.LIMITED, answers.BUSY):
            return words.of_fault(target, fault, self._asked)
        own = words.of_fault(target, fault, self._asked)
        if words.is_of_model(fault):
            hint = own.problem.hint if own.problem else ""
            return words.of_model_id(target, listed.models, hint or "correct it")
        is_absent = fault.status in (404, 405)
        odd = (faults.PAGE, faults.REDIRECT, faults.NO_JSON, faults.NO_CHOICES, faults.NOTHING)
        if (is_absent or fault.kind in odd) and (url := await self._versioned()):
            return words.of_version(target, url)
        if fault.status == 404 and listed.models and model not in listed.models:
            return words.of_model_id(target, listed.models)
        if is_absent or words.is_of_type(fault):
            found = await self._other_type()
            if found is not None or words.is_of_type(fault):
                hint = f"write {found.value}" if found else "write the type of the model"
                wanted, path = ROUTES[self._endpoint.type], ROUTES[found] if found else ""
                return words.of_type(target, wanted, path, hint)
        return own

    async def _broken(self, fault: Fault) -> Finding:
        """Return the finding of an endpoint that cannot be reached, or sends no HTTP."""
        if fault.kind == answers.LATE:
            return words.late(self._target, self._seconds)
        speaks = _closed(fault) or "no valid HTTP" in fault.message
        if speaks and self._endpoint.url.lower().startswith("http:") and await self._speaks_tls():
            return words.of_tls(self._target)
        return words.of_fault(self._target, fault, self._asked)

    async def _speaks_tls(self) -> bool:
        client = self._client(f"https{self._endpoint.url[len('http') :]}", {"verify": False})
        try:
            connection = await asyncio.wait_for(client.connection(), self._left())
        except (TimeoutError, Broken):
            return False
        connection.transport.abort()
        return True

    async def _versioned(self) -> str:
        """Return the URL with ``/v1`` if the API answers there, and the configured one has none."""
        parts = urlsplit(self._endpoint.route_url)
        found = UNVERSIONED.fullmatch(parts.path)
        if found is None:
            return ""
        base = f"{parts.scheme}://{parts.netloc}{found['base']}/v1"
        query = f"?{parts.query}" if parts.query else ""
        listed = await self._ask(f"{base}/models{query}")
        refused = listed.fault is not None and listed.outcome.status in (401, 403)
        if listed.models or refused:
            return base
        kind = self._endpoint.type
        return base if (await self._ask_token(base + ROUTES[kind] + query, kind)).is_alive else ""

    async def _other_type(self) -> EndpointType | None:
        """Return the type of another route that answers for the model."""
        route, mark, query = self._endpoint.route_url.partition("?")
        own = ROUTES[self._endpoint.type]
        for kind in _TYPES:
            if ROUTES[kind] != own:
                url = route.removesuffix(own) + ROUTES[kind] + mark + query
                if (await self._ask_token(url, kind)).is_alive:
                    return kind
        return None

    # --- one request --------------------------------------------------------------------------

    async def _ask_token(self, url: str, kind: EndpointType) -> _Answer:
        return await self._ask(url, one_token(self._endpoint, kind))

    async def _ask(self, url: str, body: bytes = b"", share: float = 1.0) -> _Answer:
        """Send a request with *body*, or else a GET; it may last a *share* of the time left."""
        parts, seconds = urlsplit(url), max(0.001, self._left() * share)
        headers = [("Accept", "application/json"), ("User-Agent", _AGENT)]
        if body:
            headers.append(("Content-Type", "application/json"))
        if self._key:
            headers.append(("Authorization", f"Bearer {self._key}"))
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        call = Call("POST" if body else "GET", target, headers, body)
        client = self._client(url)
        gate = Gate(Limit(Bounds(), asyncio.get_running_loop().time()))
        asker = Asker(client, gate, Patience(0.0, tries=1), seconds, key=self._key)
        try:
            asking = asker.ask(call, 0, Passing(), limited=False)
            outcome = await asyncio.wait_for(asking, seconds + 0.01)
        except TimeoutError:  # it has not even connected
            outcome = Outcome(0, "", [], b"", answers.LATE)
            asker.faults.note(client.base, call, outcome, ended=True)
        finally:
            client.close()
        noted = [] if outcome.verdict == answers.SOUND else asker.faults.data()
        return _Answer(outcome, Fault.of(noted[-1]) if noted else None)

    def _client(self, url: str, options: Mapping[str, Any] | None = None) -> Client:
        return Client(route_to(url, options or {}, self._environment))

    def _left(self) -> float:
        return self._until - asyncio.get_running_loop().time()


def _is_unreachable(fault: Fault) -> bool:
    """Whether no other request can reach the endpoint either."""
    return fault.kind == answers.BROKEN and (
        fault.message.startswith(("no connection", "no TLS")) or "proxy" in fault.message
    )


def _closed(fault: Fault) -> bool:
    return fault.kind == answers.BROKEN and "closed the connection" in fault.message
