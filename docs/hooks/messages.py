"""The page of snakeval's messages, from the code and from ``messages.yaml``.

A message is the text of an error that people see. The page shows its constant parts, and ``…`` for
the rest. Most messages end with what to do, or have a hint. The others require a line in
``messages.yaml``, by hand.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from hooks.tables import GENERATED, row

PACKAGE = Path(__file__).resolve().parents[2] / "workflow/snakeval"
BY_HAND = Path(__file__).with_name("messages.yaml")
#: The classes of messages from which others inherit. Others are for programs only.
_BASES = {"ConfigError", "EvaluationError", "Problem", "UsageError", "BadParameter"}
_PYDANTIC = "PydanticCustomError"
#: Calls whose messages and hints are at other places: of endpoints, of faults, and of health.
_PLACES = {"problem": (0, 2), "Words": (0, 2), "Rule": (3, 4)}
#: Programs of their own, whose texts no user of snakeval reads.
_OTHER = ("demo/", "lepton/")
_REST = "…"
#: The most texts of one place in the code; a place with more of them counts as unknown.
_MOST = 12


@dataclass(frozen=True, slots=True, order=True)
class Message:
    """A message with the module of its place in the code, below the package."""

    module: str
    text: str
    hint: str = ""

    @property
    def action(self) -> str:
        """Its own words on how to proceed, or nothing."""
        own = self.hint or self.text.partition("; ")[2]
        return own if re.search("[a-z]", own) else ""


def messages(package: Path = PACKAGE) -> list[Message]:
    """Return all messages of the code, in the order of their modules."""
    trees = {
        path.relative_to(package).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(package.rglob("*.py"))
    }
    classes = _classes(trees.values())
    found = {
        message: None
        for module, tree in trees.items()
        if not module.startswith(_OTHER)
        for message in _Module(module, tree, classes).messages()
    }
    return list(found)


def _classes(trees: Iterable[ast.Module]) -> set[str]:
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found = set(_BASES)
    while more := {name for name, own in bases.items() if own & found} - found:
        found |= more
    return found


class _Module:
    """The messages of one module."""

    def __init__(self, name: str, tree: ast.Module, classes: set[str]) -> None:
        self._name, self._tree, self._classes = name, tree, classes
        functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
        self._functions = {function.name: function for function in functions}

    def messages(self) -> Iterator[Message]:
        for scope in (self._tree, *self._functions.values()):
            for node in _own(scope):
                if isinstance(node, ast.Call):
                    yield from self._of_call(node, scope)

    def _of_call(self, call: ast.Call, scope: ast.AST) -> Iterator[Message]:
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        name = call.func.id if isinstance(call.func, ast.Name) else name
        hint = next((word.value for word in call.keywords if word.arg == "hint"), None)
        if name == _PYDANTIC:
            texts: Iterable[str] = self._pydantic(call, scope)
        elif name in _PLACES and len(call.args) > _PLACES[name][0]:
            own, its_hint = _PLACES[name]
            texts = self._texts(call.args[own], scope)
            hint = call.args[its_hint] if len(call.args) > its_hint else hint
        elif name in self._classes and call.args:
            texts = self._texts(call.args[0], scope)
        else:
            return
        hints = [""] if hint is None else self._texts(hint, scope)
        for text, each in product(texts, [" ".join(dict.fromkeys(hints))]):
            if plain := _plain(text):
                yield Message(self._name, plain, " ".join(each.split()).strip("; "))

    def _pydantic(self, call: ast.Call, scope: ast.AST) -> Iterator[str]:
        values: dict[str, list[str]] = {}
        if len(call.args) > 2 and isinstance(call.args[2], ast.Dict):
            for key, value in zip(call.args[2].keys, call.args[2].values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "why":
                    values[str(key.value)] = self._texts(value, scope)
        for template in self._texts(call.args[1], scope):
            parts = re.split(r"\{(\w+)\}", template)
            choices = [
                [part] if number % 2 == 0 else values.get(part, [_REST])
                for number, part in enumerate(parts)
            ]
            yield from map("".join, product(*choices))

    def _texts(self, node: ast.AST, scope: ast.AST, depth: int = 3) -> list[str]:
        """Return the texts that an expression can have."""
        found = list(dict.fromkeys(self._all(node, scope, depth)))
        return found if len(found) <= _MOST else [_REST]

    def _all(self, node: ast.AST, scope: ast.AST, depth: int) -> Iterator[str]:
        match node:
            case ast.Constant(value=str(text)):
                yield text
            case ast.JoinedStr(values=parts):
                texts = [p.value if isinstance(p, ast.Constant) else _REST for p in parts]
                yield "".join(map(str, texts))
            case ast.BinOp(left=left, op=ast.Add(), right=right):
                both = (self._texts(side, scope, depth) for side in (left, right))
                yield from map("".join, product(*both))
            case ast.IfExp(body=body, orelse=other):
                yield from self._all(body, scope, depth)
                yield from self._all(other, scope, depth)
            case ast.BoolOp(values=values):
                for value in values:
                    yield from self._all(value, scope, depth)
            case ast.Name(id=name) if depth:
                place = self._tree if name.isupper() else scope
                for assigned in [*_assigned(name, place)] or [ast.Constant(_REST)]:
                    yield from self._all(assigned, place, depth - 1)
            case ast.Call(func=ast.Name(id=name)) if depth and name in self._functions:
                function = self._functions[name]
                for inner in _own(function):
                    if isinstance(inner, ast.Return) and inner.value is not None:
                        yield from self._all(inner.value, function, depth - 1)
            case _:
                yield _REST


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a module or function without those of its functions."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, ast.FunctionDef):
            waiting += ast.iter_child_nodes(node)


def _assigned(name: str, scope: ast.AST) -> Iterator[ast.AST]:
    for node in _own(scope):
        targets: list[ast.expr]
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr):
            targets = [node.target]
        else:
            continue
        is_named = any(isinstance(target, ast.Name) and target.id == name for target in targets)
        if is_named and node.value is not None:
            yield node.value


def _plain(text: str) -> str:
    """Return a message without its place, or nothing if no word of it is constant."""
    text = " ".join(text.split())
    text = re.sub(r"^(…(?:[ /.]*…)*: )+", "", text)
    text = re.sub(r"…(…)+", _REST, text)
    constant = re.sub(r"[^a-z]", "", text.replace(_REST, ""))
    return text if len(constant) > 3 else ""


# --- the page -------------------------------------------------------------------------------------


@cache
def stations() -> dict[str, dict[str, Any]]:
    """Return what is written by hand: the stations, their modules and the actions."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(BY_HAND.read_text(encoding="utf-8"))
    return found


def station_of(message: Message) -> str:
    """Return the station of a message, or nothing."""
    fits = [
        (len(prefix), name)
        for name, station in stations().items()
        for prefix in station["modules"]
        if message.module.startswith(prefix)
    ]
    return max(fits)[1] if fits else ""


def by_hand(station: str) -> dict[str, str]:
    """Return the actions of a station's messages."""
    found = stations()[station].get("actions") or {}
    assert isinstance(found, dict)
    return found


def action(message: Message) -> str:
    """Return what to do about a message, or nothing."""
    return by_hand(station_of(message)).get(message.text) or message.action


def page() -> str:
    """Return the page of all messages."""
    lines = [
        GENERATED + "# Every message",
        "",
        "Search this page, or the site, for the words of a message. `…` is a name, a number or a "
        "path. snakeval prints the file and the key before the message, and what to do after it.",
        "",
        "[Troubleshooting](../troubleshooting.md) explains the reasons of failed requests, and "
        "[health](../health.md#rules) the findings in answers.",
    ]
    everything = messages()
    for name, station in stations().items():
        lines += ["", f"## {name}", "", str(station["about"]).strip(), ""]
        lines += ["| message | what to do |", "|---|---|"]
        found: dict[str, str] = {}
        for message in everything:
            text = message.text.partition("; ")[0]
            if station_of(message) == name and re.search("[a-z]{3}", text):
                found[text] = max(found.get(text, ""), action(message), key=len)
        for text in sorted(found, key=lambda text: text.strip("…'$- ").lower()):
            lines.append(row(_code(text), found[text]))
    return "\n".join(lines) + "\n"


def _code(text: str) -> str:
    return f"`` {text} ``" if "`" in text else f"`{text}`"
