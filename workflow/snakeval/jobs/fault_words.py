"""Says in words what went wrong with the requests of an evaluation, and what to change."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from snakeval.evaluation.definition import Evaluation
from snakeval.jobs.refused_parameter import line_for, refused_parameters
from snakeval.ledger import answers, faults
from snakeval.ledger.faults import Fault

_CONTEXT = re.compile(
    r"context.?length|maximum context|context window|max_model_len|too many tokens|"
    r"prompt is too long|(?:input|prompt)[^.]{0,60}(?:exceeds?|longer than)[^.]{0,60}"
    r"(?:tokens|length|context)|maximum (?:input|model) length|exceeds? the (?:available )?context",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"model(?:[^.]|\.\S){0,100}(?:does not exist|not found|not exist|not served|"
    r"is not (?:available|supported|a valid)|unknown)|(?:no such|unknown|invalid|unsupported) "
    r"model|model_not_found|not a valid model",
    re.IGNORECASE,
)
_SERVED = re.compile(
    r"(?:available|served|supported|valid|known|existing|loaded)(?: models?)?(?: ids?| names?)?"
    r"(?: are| is)?:? ?[\[({]?(?P<ids>[`'\"]?[\w./:@-]+[`'\"]?(?:, ?[`'\"]?[\w./:@-]+[`'\"]?)*)",
    re.IGNORECASE,
)
_USE_COMPLETIONS = re.compile(
    r"not a chat model|use v1/completions|chat template|does not support (?:the )?chat", re.I
)
_USE_CHAT = re.compile(
    r"(?:is|this is) a chat model|use v1/chat/completions|only supported in v1/chat|"
    r"does not support (?:the )?completions",
    re.IGNORECASE,
)
_PLAIN_TO_TLS = re.compile(r"plain HTTP request was sent to HTTPS|HTTP request to an HTTPS", re.I)
_QUOTA = re.compile(r"insufficient.?quota|exceeded your current quota|insufficient (?:credits|bal)")
BAD_KEY = re.compile(
    r"api.?key[^.]{0,30}(?:not valid|invalid|incorrect|expired)|(?:invalid|incorrect) api.?key",
    re.IGNORECASE,
)
#: Pages of firewalls in front of an endpoint.
_FIREWALL = re.compile(
    r"just a moment|attention required|access denied|cloudflare|captcha|firewall|blocked", re.I
)
_NO_HOST = re.compile(r"[Nn]ame or service|name resolution|[Nn]o address|nodename|No such host")
_NO_TLS = re.compile(r"WRONG_VERSION|RECORD_LAYER|HTTP_REQUEST|UNKNOWN_PROTOCOL", re.IGNORECASE)
_PROXY_ANSWER = re.compile(r"proxy answered (?P<status>\d+)")
#: A path that ends with a route of the API and has no version before it.
UNVERSIONED = re.compile(
    r"(?P<base>(?:/(?!v\d)[^/]+)*?)/(?:chat/completions|completions|embeddings|responses)"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The model of an upstream, as the configuration describes it.

    Attributes:
        url: the full URL of its route.
        key: the variable of its key, or empty.
        request: the changes to its requests.
        is_served: whether snakeval serves it.
    """

    model_id: str
    url: str
    type: str
    key: str
    request: Mapping[str, Any]
    is_served: bool
    limits: Mapping[str, Any]
    timeout: int
    max_new_tokens: int | None

    @classmethod
    def of(cls, evaluation: Evaluation, name: str) -> Asked:
        """Return the model *name* of an evaluation."""
        identity, transport = evaluation.identity, evaluation.transport
        model = identity.auxiliary.get(name) or {
            "model_id": identity.model_id,
            "endpoint_url": identity.endpoint_url,
            "endpoint_type": identity.endpoint_type,
            "request": identity.request,
        }
        own = name == evaluation.model
        key = transport.api_key_name if own else transport.auxiliary_keys.get(name, "")
        return cls(
            str(model.get("model_id", "")),
            str(model.get("endpoint_url", "")),
            str(model.get("endpoint_type", "")),
            key,
            model.get("request") or {},
            name in transport.servers,
            transport.limits.get(name) or {},
            transport.request_timeout,
            identity.params.get("max_new_tokens") if own else None,
        )


@dataclass(frozen=True, slots=True)
class Words:
    """A fault, the message of the endpoint, and what to change."""

    what: str
    message: str
    hint: str


def words_of(fault: Fault, asked: Asked) -> Words:
    """Return a fault in words."""
    kind, message = fault.kind, fault.message
    if kind == answers.LATE and message.startswith("no whole answer within "):
        seconds = message.removeprefix("no whole answer within ")
        return Words(f"no answer within {seconds}", "", "raise request_timeout")
    if kind in (answers.LATE, answers.BROKEN):
        return Words(message, "", _of_connection(message, asked))
    if kind in _OF_KIND:
        what, hint = _OF_KIND[kind]
        return Words(what, message, hint)
    if kind == faults.MISTYPED:
        hint = "send it as application/json, then resume with --ask-again all"
        return Words(f"the endpoint sends JSON as {message or 'no type'}", "", hint)
    if kind == faults.NO_INDEX:
        return Words("an answer whose choices have no index", "", "send it with each choice")
    if kind == faults.REDIRECT:
        what = f"the endpoint redirects to {message or 'nowhere'}"
        return Words(what, "", "write the URL of the API in endpoint.url")
    if kind in (answers.LIMITED, answers.BUSY):
        return _of_limit(fault, asked)
    return _refused(fault, asked)


_SEE = "see the endpoint's log"
_OF_KIND = {
    answers.MALFORMED: (
        "an answer that the harness cannot read",
        "let the endpoint answer in the form of OpenAI's API",
    ),
    faults.PAGE: (
        "the endpoint answers text/html, no JSON",
        "check endpoint.url, and whether a login page or a proxy answers",
    ),
    faults.NO_CHOICES: ("an answer without choices", _SEE),
    faults.NO_JSON: ("an answer that is no JSON", "check endpoint.url"),
    faults.NOTHING: ("an answer without content", _SEE),
    faults.CUT: ("a stream without its end", _SEE),
}


def _of_connection(message: str, asked: Asked) -> str:
    if found := _PROXY_ANSWER.search(message):
        if found["status"] == "407":
            return "write user and password of the proxy in HTTPS_PROXY"
        return "allow the host at the proxy, or add it to NO_PROXY"
    if "through the proxy" in message:
        return "check HTTP_PROXY and HTTPS_PROXY, or add the host to NO_PROXY"
    if message.startswith("no TLS"):
        if _NO_TLS.search(message):
            return "write http:// in endpoint.url if the server has no TLS"
        if "ostname" in message or "IP address" in message:
            return "write a host name of its certificate in endpoint.url"
        return "set SSL_CERT_FILE to the certificates of its authority"
    if asked.is_served:
        return "see the log of its server"
    if _NO_HOST.search(message):
        return "correct the host in endpoint.url, or set HTTPS_PROXY"
    if message.startswith("no connection"):
        return "check that the server runs, and host and port in endpoint.url"
    if "no valid HTTP" in message:
        return "check scheme and port of endpoint.url"
    return _SEE


def _of_limit(fault: Fault, asked: Asked) -> Words:
    if _QUOTA.search(fault.message) or fault.code == "insufficient_quota":
        return Words("the quota of the key is used up", fault.message, "add credit to its account")
    patience = asked.limits.get("patience", 3600)
    if fault.wait > patience and not asked.is_served:
        what = (
            f"the endpoint asks to wait {fault.wait:.0f} s, longer than its patience "
            f"({patience:g} s)"
        )
    elif fault.kind == answers.LIMITED:
        what = "the endpoint limits requests"
    else:
        what = "the endpoint is overloaded"
    hint = "see the log of its server" if asked.is_served else "raise endpoint.limits.patience"
    return Words(what, fault.message, hint)


def _refused(fault: Fault, asked: Asked) -> Words:
    """Return the words for a 4xx, a 5xx and an error in a 200."""
    message, hint = fault.message, ""
    what = {
        faults.REFUSED: "the endpoint refuses the request",
        answers.ERROR: "the endpoint reports an error",
    }.get(fault.kind, "the endpoint fails")
    if refused := refused_parameters(fault):
        names = " and ".join(refused)
        what = f"the endpoint refuses {names}"
        hint = f"write {line_for(refused, asked.request)}"
        if asked.is_served:
            hint = f"let the harness send no {names}"
    elif fault.status == 403 and _FIREWALL.search(message):
        what = "a firewall or proxy forbids the request"
        hint = "allow this machine there, or add the host to NO_PROXY"
    elif fault.status in (401, 403) or BAD_KEY.search(message):
        what, hint = _of_key(asked)
    elif fault.status == 407:
        hint = "write user and password of the proxy in HTTP_PROXY"
    elif fault.status == 402 or _QUOTA.search(message):
        hint = "add credit to the account of the key"
    elif _PLAIN_TO_TLS.search(message):
        hint = "write https:// in endpoint.url"
    elif _CONTEXT.search(message) or fault.code == "context_length_exceeded":
        now = f" (now {asked.max_new_tokens})" if asked.max_new_tokens else ""
        hint = f"lower params.max_new_tokens{now}, or serve a longer context"
    elif route := _other_type(fault, asked):
        hint = f"write {route}"
    elif _NO_MODEL.search(message) or fault.code == "model_not_found":
        hint = _of_model_id(message, asked)
    elif fault.status in (404, 405):
        hint = _of_route(asked)
    elif fault.status == 413:
        hint = "allow larger requests at the endpoint or its proxy"
    elif fault.status == 415:
        hint = "check endpoint.url and endpoint.type"
    elif fault.kind == faults.REFUSED and message and not asked.is_served:
        hint = "change its requests with endpoint.request"
    return Words(what, message, hint or ("see the log of its server" if asked.is_served else _SEE))


def _of_key(asked: Asked) -> tuple[str, str]:
    if not asked.key:
        return "the endpoint requires a key", "set endpoint.api_key_name to its variable"
    if not os.environ.get(asked.key):
        return "the endpoint requires a key", f"export {asked.key}, which is empty"
    return f"the endpoint refuses the key in {asked.key}", f"correct {asked.key}"


def _other_type(fault: Fault, asked: Asked) -> str:
    """Return the setting of the endpoint's type that its message asks for, or nothing."""
    section = "deployment" if asked.is_served else "endpoint"
    if asked.type == "chat" and _USE_COMPLETIONS.search(fault.message):
        return f"{section}.type: completions"
    if asked.type == "completions" and _USE_CHAT.search(fault.message):
        return f"{section}.type: chat"
    return ""


def _of_model_id(message: str, asked: Asked) -> str:
    if asked.is_served:
        return "set deployment.served_model_name to a name that the server knows"
    hint = f"correct endpoint.model_id (now {asked.model_id})"
    if found := _SERVED.search(message):
        ids = [part.strip(" `'\"") for part in found["ids"].split(",")]
        listed = [name for name in ids if name and name != asked.model_id]
        if listed and found.start() > 0:
            hint += f", for example {listed[0]}"
    return hint


def _of_route(asked: Asked) -> str:
    if asked.is_served:
        return "set deployment.endpoints to the paths of the server"
    parts = urlsplit(asked.url)
    if found := UNVERSIONED.fullmatch(parts.path):
        return f"write endpoint.url: {parts.scheme}://{parts.netloc}{found['base']}/v1"
    other = {"chat": "completions", "completions": "chat"}.get(asked.type)
    if not other:
        return "check endpoint.url"
    return f"check endpoint.url, or write endpoint.type: {other}"
