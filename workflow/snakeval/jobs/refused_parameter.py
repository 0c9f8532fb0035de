"""Finds in an endpoint's message which parameters of a request it refuses, and the line that helps.

Sources: messages of OpenAI, Azure, vLLM (pydantic), LiteLLM, Groq, xAI, Mistral and Google.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from snakeval.ledger.faults import Fault

#: Codes of OpenAI's errors whose ``param`` is what the endpoint refuses.
_CODES = frozenset({"unsupported_parameter", "unsupported_value", "unknown_parameter"})
_QUOTE = r"[`'\"]?"
_NAME = rf"{_QUOTE}(?P<name>[a-z][a-z_0-9]*){_QUOTE}"
#: Names in a list, as ``['seed', 'stop']`` and ``{'seed': 1}`` have them, or without brackets.
_NAMES = r"[\[{]?(?P<names>(?:[`'\"]?[a-z][a-z_0-9]*[`'\"]?(?:: [^,\]}]*)?(?:, )?)+)[\]}]?"
_SINGLE = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?:unsupported|unknown|unrecognized|unexpected) "
        rf"(?:parameter|argument|field)s?: ?{_NAME}",
        rf"\bunsupported value: {_NAME}",
        rf"\bparameter:? {_NAME} is not (?:yet )?supported",
        rf"\bdoes not support (?:the )?(?:parameter|argument) {_NAME}",
        rf"\b(?:argument|parameter) not supported on this model: {_NAME}",
        rf"\bproperty {_NAME} is (?:unsupported|not supported)",
        rf"\bunknown name {_NAME}",
        rf"\bdon't support {_NAME}=",
        rf"{_QUOTE}loc{_QUOTE}: [\[(]{_QUOTE}body{_QUOTE}, {_NAME}[^}}]*extra (?:inputs|fields)",
        rf"\bextra_forbidden[^}}]*{_QUOTE}body{_QUOTE}, {_NAME}",
        rf"(?:\bbody\.)?{_NAME}: extra (?:inputs|fields) (?:are )?not permitted",
        rf"(?:^|[.:] ?){_NAME} is (?:deprecated|not (?:yet )?supported|unsupported) "
        r"(?:for|with|by|on|in)\b",
        r"\bper-request (?P<name>seed)\b",
    )
)
_SEVERAL = (
    re.compile(rf"\bdoes not support parameters: {_NAMES}", re.IGNORECASE),
    re.compile(rf"\bunrecognized request arguments? supplied: {_NAMES}", re.IGNORECASE),
)
_LISTED = re.compile(r"(?:^|, )[`'\"]?([a-z][a-z_0-9]*)[`'\"]?(?=$|[:,])")
_INSTEAD = re.compile(rf"\buse {_NAME} instead", re.IGNORECASE)
#: Members that every request requires, and words of sentences that are no parameters.
_NEVER = frozenset(
    {"model", "messages", "prompt", "input", "stream", "body", "parameter", "value", "this", "it"}
)


def refused_parameters(fault: Fault) -> dict[str, str]:
    """Return the parameters that the endpoint refuses; a name is that of its successor, if any."""
    text = fault.message
    names = [fault.param] if fault.code in _CODES and fault.param else []
    for pattern in _SEVERAL:
        names += [name for found in pattern.finditer(text) for name in _listed(found["names"])]
    if not names:
        names = [found["name"] for pattern in _SINGLE for found in pattern.finditer(text)]
    instead = _INSTEAD.search(text)
    successor = instead["name"] if instead else ""
    return {
        name: successor if successor != name else ""
        for name in dict.fromkeys(names)
        if re.fullmatch(r"\w+", name) and name.lower() not in _NEVER
    }


def _listed(names: str) -> list[str]:
    return _LISTED.findall(names.removesuffix(", "))


def line_for(refused: Mapping[str, str], now: Mapping[str, Any]) -> str:
    """Return the line of a configuration that avoids *refused*, with the changes of *now*.

    >>> line_for({"max_tokens": "max_completion_tokens"}, {})
    'endpoint.request: {rename: {max_tokens: max_completion_tokens}}'
    >>> line_for({"stop": ""}, {"rename": {"max_tokens": "max_completion_tokens"}})
    'endpoint.request: {rename: {max_tokens: max_completion_tokens}, drop: [stop]}'
    """
    rename = dict(now.get("rename") or {})
    add, drop = dict(now.get("add") or {}), list(now.get("drop") or ())
    back = {new: old for old, new in rename.items()}
    for name, successor in refused.items():
        # The endpoint sees the new name of what was renamed, and what was added.
        add.pop(name, None)
        name = back.get(name, name)
        rename.pop(name, None)
        if successor:
            rename[name] = successor
        elif name not in drop:
            drop.append(name)
    parts = []
    if rename:
        parts.append(f"rename: {{{_pairs(rename.items())}}}")
    if drop:
        parts.append(f"drop: [{', '.join(drop)}]")
    if add:
        parts.append("add: {…}")
    return f"endpoint.request: {{{', '.join(parts)}}}"


def _pairs(items: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in items)
