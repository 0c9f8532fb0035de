"""Says what is wrong with an endpoint that was asked for one token, and whether a run can start.

The words are those of :mod:`snakeval.jobs.fault_words`, which are also the reasons of evaluations
that fail later.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snakeval.config.endpoints import Endpoint
from snakeval.errors import Problem
from snakeval.jobs.fault_words import BAD_KEY, Asked, words_of
from snakeval.jobs.refused_parameter import refused_parameters
from snakeval.ledger import answers
from snakeval.ledger.faults import PAGE, REDIRECT, Fault
from snakeval.ledger.plain_text import listed, shortened

#: The longest message of an endpoint, in characters.
_LONGEST = 160
#: Messages of endpoints that are well and refuse a request for one token.
_ALIVE = re.compile(
    r"max_(?:completion_|new_|output_)?tokens|\btokens?\b|(?:un|not )supported|unrecognized"
    r"|unknown (?:name|field|parameter|argument)|extra (?:inputs|fields)|unexpected keyword",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"model(?:[^.]|\.\S){0,100}(?:does not exist|not found|not exist|is not (?:available|a valid)"
    r"|not served|unknown)|model:? ?[`'\"]?[\w./:@-]+[`'\"]? is not supported"
    r"|(?:no such|unknown|invalid|unsupported) model|model_not_found|not a valid model",
    re.IGNORECASE,
)
_OTHER_TYPE = re.compile(
    r"not a chat model|use v1/|chat template|is a chat model|only supported in v1/|"
    r"does not support[^.]{0,20}(?:chat|completions|embeddings|generate)",
    re.IGNORECASE,
)
_PROXY_FAILS = re.compile(r"proxy answered 5\d\d")


@dataclass(frozen=True)
class Target:
    """An endpoint with a model and a key, which is asked once.

    Attributes:
        names: of the models that have it, as ``models.NAME``.
    """

    names: tuple[str, ...]
    endpoint: Endpoint

    def problem(self, what: str, key: str = "url", hint: str = "") -> Problem:
        """Return a problem with a key of the endpoint."""
        joined = ", ".join(self.names)
        return Problem(what, f"{joined}{'.' if len(self.names) == 1 else ': '}endpoint.{key}", hint)


@dataclass(frozen=True)
class Finding:
    """The result of asking an endpoint; without a problem, the endpoint is well.

    Attributes:
        stops: whether no run can start with it; else a later request may succeed.
        served: the ids of its models, if it lists them.
        tokenizes: whether it answers for its tokenizer, if it was asked that.
    """

    target: Target
    problem: Problem | None = None
    stops: bool = False
    served: Sequence[str] = ()
    tokenizes: bool = False


def is_alive(status: int, fault: Fault | None) -> bool:
    """Whether an endpoint answers, also if it refuses a limit of one token or a parameter."""
    if fault is None:
        return True
    if status not in answers.REFUSALS or is_of_key(fault):
        return False
    if refused_parameters(fault):
        return True
    if is_of_model(fault) or is_of_type(fault):
        return False
    return bool(fault.param not in ("", "model") or _ALIVE.search(fault.message))


def is_of_model(fault: Fault) -> bool:
    """Whether the endpoint says that it does not know the model."""
    return bool(_NO_MODEL.search(fault.message)) or fault.code == "model_not_found"


def is_of_type(fault: Fault) -> bool:
    """Whether the endpoint says that the model answers on another route."""
    return bool(_OTHER_TYPE.search(fault.message))


def is_of_key(fault: Fault) -> bool:
    """Whether the endpoint refuses the key."""
    return fault.status in (401, 403) or bool(BAD_KEY.search(fault.message))


def asked_of(target: Target, request: Mapping[str, object], seconds: float) -> Asked:
    """Return the model as the words of faults have it."""
    endpoint = target.endpoint
    return Asked(
        endpoint.model_id,
        endpoint.route_url,
        endpoint.type.value,
        endpoint.api_key_name or "",
        request,
        is_served=False,
        limits={},
        timeout=round(seconds),
        max_new_tokens=None,
    )


def of_fault(target: Target, fault: Fault, asked: Asked) -> Finding:
    """Return the finding of a fault whose cause no further request can find."""
    words = words_of(fault, asked)
    what = words.what
    if fault.status and fault.kind not in (PAGE, REDIRECT):
        what = f"{what} (HTTP {fault.status})"
    if words.message:
        what = f"{what}: {shortened(words.message, _LONGEST).rstrip('. ')}"
    if is_of_key(fault):
        stops, key = True, "api_key_name"
    elif fault.kind == answers.BROKEN:
        stops, key = not _PROXY_FAILS.search(fault.message), "url"
    else:
        stops = fault.status in (404, 405, 407) or fault.kind in (PAGE, REDIRECT)
        key = "url"
    return Finding(target, target.problem(what, key, words.hint), stops)


def late(target: Target, seconds: float) -> Finding:
    """Return the finding of an endpoint that did not answer in time."""
    what = f"no answer within {seconds:g} s"
    return Finding(target, target.problem(what, "url", "see whether the server is busy or loads"))


def of_model_id(target: Target, served: Sequence[str], hint: str = "correct it") -> Finding:
    """Return the finding of an endpoint without the model; it lists the nearest ids first.

    Without a list, it has the *hint*.
    """
    wanted = target.endpoint.model_id
    if served:
        hint = f"it serves {listed(nearest_first(wanted, served))}"
    what = f"the endpoint does not serve '{wanted}'"
    return Finding(target, target.problem(what, "model_id", hint), stops=True, served=served)


def nearest_first(wanted: str, served: Sequence[str]) -> list[str]:
    """Return the ids in the order of their likeness to *wanted*.

    >>> nearest_first("llama-3.1-8b", ["gpt-4o", "qwen", "Llama-3.1-8B-Instruct"])[0]
    'Llama-3.1-8B-Instruct'
    """

    def likeness(name: str) -> float:
        return difflib.SequenceMatcher(None, wanted.lower(), name[:255].lower()).ratio()

    return sorted(dict.fromkeys(served), key=likeness, reverse=True)


def of_type(target: Target, wanted: str, found: str, hint: str) -> Finding:
    """Return the finding of a model that answers on the route *found*, and not on *wanted*."""
    what = f"the endpoint does not answer on {wanted}"
    if found:
        what = f"the endpoint answers on {found}, and not on {wanted}"
    return Finding(target, target.problem(what, "type", hint), stops=True)


def of_version(target: Target, url: str) -> Finding:
    """Return the finding of a URL without its version; the API is at *url*."""
    what = "the URL lacks /v1"
    return Finding(target, target.problem(what, "url", f"write {url}"), stops=True)


def of_tls(target: Target) -> Finding:
    """Return the finding of a server that speaks TLS, and is asked without."""
    what = "the server speaks TLS"
    return Finding(target, target.problem(what, "url", "write https://"), stops=True)
