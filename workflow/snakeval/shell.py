"""Renders shell commands from jinja2 templates, and quotes every value as data."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from functools import cache
from typing import Any

import jinja2
from jinja2 import meta

from snakeval.errors import EvaluationError


class Raw(str):
    """Text that enters the command unquoted; in a template ``{{ x | raw }}``."""


def _quoting() -> jinja2.Environment:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, finalize=_quoted)
    environment.filters["raw"] = Raw
    return environment


def render(template: str, values: Mapping[str, Any], what: str = "`command`") -> str:
    """Return the shell text of *template*, with each value quoted for the shell.

    Errors call the template *what*.

    Raises:
        EvaluationError: the template is invalid, or uses an undefined value.
    """
    try:
        return _quoting().from_string(template).render(values)
    except Exception as error:  # the template is the user's program and may raise anything
        raise EvaluationError(f"{what} is not a valid template: {error}; correct it") from None


def variables(template: str, what: str = "`command`") -> set[str]:
    """Return the variables that *template* uses.

    Raises:
        EvaluationError: the template is invalid.
    """
    try:
        return meta.find_undeclared_variables(_quoting().parse(template))
    except jinja2.TemplateError as error:
        raise EvaluationError(f"{what} is not a valid template: {error}; correct it") from None


def fill(template: str, values: Mapping[str, Any], what: str) -> str:
    """Return the text of *template* without quotes, for text that no shell reads.

    Raises:
        EvaluationError: as in :func:`render`.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    try:
        return environment.from_string(template).render(values)
    except Exception as error:
        raise EvaluationError(f"{what} is not a valid template: {error}; correct it") from None


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("snakeval"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["quote"] = lambda value: shlex.quote(str(value))
    return environment


def template(name: str) -> jinja2.Template:
    """Return a template of ``snakeval/templates``; ``{{ x | quote }}`` quotes a value in it."""
    return _templates().get_template(name)


def argv(text: str) -> tuple[str, ...]:
    """Return the command line that runs *text* in a shell.

    A single command replaces the shell. In any other text, the shell traps SIGTERM, which all its
    processes receive, and waits for the current command. Otherwise the shell would end first, and
    no process would wait until the command has closed its files.
    """
    if _is_one_command(text):
        return "sh", "-c", f"exec {text}"
    return "sh", "-c", f"trap 'exit 143' TERM INT\n{text}"


#: Words of the shell itself, which `exec` cannot run.
_OWN_WORDS = frozenset(
    {
        *("!", ".", ":", "{", "[", "break", "case", "cd", "command", "continue", "eval", "exec"),
        *("exit", "export", "for", "if", "readonly", "return", "set", "shift", "source", "time"),
        *("times", "trap", "ulimit", "umask", "unset", "until", "wait", "while"),
    }
)


def _is_one_command(text: str) -> bool:
    words = shlex.shlex(text, posix=True, punctuation_chars=True)
    words.commenters = ""
    try:
        tokens = list(words)
    except ValueError:
        return False  # an open quote, which the shell will report
    first = tokens[0] if tokens else ""
    return (
        bool(first)
        and "\n" not in text.strip()
        and first not in _OWN_WORDS
        and not re.match(r"\w+=", first)
        and not any(set(token) <= set(";&|()") for token in tokens if token)
        and "#" not in first
    )


def _quoted(value: object) -> str:
    return str(value) if isinstance(value, Raw) else shlex.quote(str(value))
