"""Parses JSON and YAML. No other module does, since damaged texts end parsers with many errors.

A *sealed* JSON text ends with the SHA-256 of the text before it. Readers of an object with a seal
verify it, so no changed byte goes unnoticed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

#: The errors that building something from damaged data raises.
DAMAGE = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)


class TwiceError(ValueError):
    """A text has a key twice in one mapping, so the value of the key is not known."""


#: Decodes a text without spaces at its ends, which is most of them, quicker than `json.loads`.
_DECODER = json.JSONDecoder()


def json_value(content: bytes | str, *, unique: bool = False) -> Any:
    """Return the value of a JSON text.

    In an object with a key twice, the last value counts, except if keys must be *unique*.

    Raises:
        ValueError: *content* is not JSON in UTF-8, or is nested too deeply.
        TwiceError: an object has two different values for one key that must be *unique*.
    """
    hook = _unique if unique else None
    try:
        text = content if isinstance(content, str) else content.decode()
        if hook is None:
            try:
                found, end = _DECODER.raw_decode(text)
            except json.JSONDecodeError:
                end = -1  # `loads` says the same of the whole text
            if end == len(text):
                return found
        return json.loads(text, object_pairs_hook=hook)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except (UnicodeDecodeError, json.JSONDecodeError, TwiceError):
        raise
    except ValueError:  # the only other one
        raise ValueError("a whole number in it has too many digits") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        for name, value in pairs:
            if value != found[name]:
                raise TwiceError(f"it has the key {name[:60]!r} twice, with different values")
    return found


def json_object(content: bytes) -> dict[str, Any]:
    """Return the object of a JSON text.

    Raises:
        ValueError: *content* is no object, or does not fit its seal.
    """
    found = json_value(content)
    if not isinstance(found, dict):
        raise ValueError("not an object")
    if _SEAL in found:
        text, mark, rest = content.rpartition(_SEAL_MARK)
        if not mark or rest != f'{hashlib.sha256(text).hexdigest()}"\n}}'.encode():
            raise ValueError("its content does not fit its seal")
    return found


_SEAL = "sha256"

_SEAL_MARK = b',\n "sha256": "'


def sealed(data: Mapping[str, Any]) -> str:
    """Return *data*, which is not empty, as a JSON text with a seal."""
    text = json.dumps(without_seal(data), indent=1, sort_keys=True).removesuffix("\n}")
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f'{text}{_SEAL_MARK.decode()}{digest}"\n}}'


def has_seal(data: Mapping[str, Any]) -> bool:
    """Return whether the text of *data* had a seal, which then was verified."""
    return _SEAL in data


def without_seal(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return *data* without the seal that its text had."""
    return {name: value for name, value in data.items() if name != _SEAL}


def yaml_value(text: str, *, unique: bool = False) -> Any:
    """Return the value of a YAML text, read by PyYAML's fast parser if it has one.

    In a mapping with a key twice, the last value counts, except if keys must be *unique*.

    Raises:
        ValueError: *text* is no YAML, holds an impossible value, or is nested too deeply.
        TwiceError: a mapping has a key twice that must be *unique*.
    """
    import yaml

    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        try:
            node = loader.get_single_node()
            if unique:
                _require_unique_keys(node)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except TwiceError:
        raise
    except (yaml.YAMLError, *DAMAGE) as error:
        # PyYAML converts scalars without a check: an empty !!int raises IndexError.
        raise ValueError(" ".join(str(error).split()) or repr(error)) from None


def _require_unique_keys(root: Any) -> None:
    """Check the nodes of a YAML text before a merge adds the keys of other mappings."""
    left, seen = [root], set()
    while left:
        node = left.pop()
        if id(node) in seen or not isinstance(children := getattr(node, "value", None), list):
            continue
        seen.add(id(node))
        keys: set[tuple[str, str]] = set()
        for child in children:
            left += child if isinstance(child, tuple) else [child]
            if isinstance(child, tuple) and isinstance(child[0].value, str):
                key = (child[0].tag, child[0].value)
                if key in keys:
                    raise TwiceError(f"it has the key {key[1][:60]!r} twice")
                keys.add(key)
