"""Renders shell commands from jinja2 templates, in which a value is only ever data."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from functools import cache
from typing import Any

import jinja2

from snakeval.errors import EvaluationError


class Raw(str):
    """Text that goes into the command as it is; in a template ``{{ x | raw }}``."""


def render(template: str, values: Mapping[str, Any], what: str = "`command`") -> str:
    """Return the shell text of *template*; each value is quoted for the shell.

    Raises:
        EvaluationError: *what* is no valid template, or names a value that there is not.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, finalize=_quoted)
    environment.filters["raw"] = Raw
    try:
        return environment.from_string(template).render(values)
    except Exception as error:  # the template is a program, of somebody else
        raise EvaluationError(f"{what} is no valid template: {error}; correct it") from None


def fill(template: str, values: Mapping[str, Any], what: str) -> str:
    """Return the text of *template*, nothing quoted: for what no shell reads.

    Raises:
        EvaluationError: as :func:`render`.
    """
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)
    try:
        return environment.from_string(template).render(values)
    except Exception as error:
        raise EvaluationError(f"{what} is no valid template: {error}; correct it") from None


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
    """Return a template of ``snakeval/templates``, in which ``{{ x | quote }}`` quotes a value."""
    return _templates().get_template(name)


def argv(text: str) -> tuple[str, ...]:
    """Return the command line that runs *text* in a shell.

    One command takes the shell's place. Else the shell, at a SIGTERM, which all processes of it
    get, waits for the command that it is at: it would die first otherwise, and nobody would wait
    until the command has closed its files.
    """
    if _is_one_command(text):
        return "sh", "-c", f"exec {text}"
    return "sh", "-c", f"trap 'exit 143' TERM INT\n{text}"


#: Words that `exec` cannot run, since they are the shell's own.
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
        return False  # an open quote, of which the shell will tell
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
