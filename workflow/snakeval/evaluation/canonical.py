"""Removes the differences between two identities that change nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

#: Parameters that can change no score, so they stand outside the fingerprint and the run's id.
TRANSPORT_PARAMS = frozenset({"parallelism", "request_timeout", "max_retries"})
#: A template with no other tags than these means the same with any blanks in them.
_SIMPLE_TAG = re.compile(r"\{\{\s*([A-Za-z_][\w.]*(?:\s*\|\s*[A-Za-z_]\w*)*)\s*\}\}", re.ASCII)


def canonical(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of *identity*, which is plain data of format 2, determines the answers.

    Empty values are left out, so that a field which comes later changes no fingerprint.
    """
    data = {name: value for name, value in identity.items() if value and name != "metrics"}
    command = data.get("command", "")
    params = identity["params"]
    if None in params.values() or {} in params.values():
        # A null is the default, except to a template that looks whether the parameter is there.
        words = _words(command)
        params = {k: v for k, v in params.items() if (k in words if v is None else v != {})}
    data["params"] = params
    if command:
        data["command"] = canonical_template(command)
    if packages := data.get("packages"):
        data["packages"] = sorted(packages)
    if image_digest := data.pop("image_digest", ""):
        data["image"] = image_digest  # one image, whatever its names are
    return data


@lru_cache(maxsize=1000)
def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\w+", text))


@lru_cache(maxsize=1000)
def canonical_template(template: str) -> str:
    """Return *template* with one blank beside each name, if it has no tags but plain names.

    >>> canonical_template("run {{x}} {{ y |raw}}\\n")
    'run {{ x }} {{ y|raw }}'
    """
    text = template.removesuffix("\n")  # as jinja2 does
    rest = _SIMPLE_TAG.sub("", text)
    if any(mark in rest for mark in ("{{", "{%", "{#")):
        return text
    return _SIMPLE_TAG.sub(lambda tag: "{{ " + "".join(tag[1].split()) + " }}", text)


def shared_params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the *params* of a configuration that distinguish two runs.

    A null or an empty mapping states a default.
    """
    return {
        name: value
        for name, value in params.items()
        if name not in TRANSPORT_PARAMS and value is not None and value != {}
    }
