"""Renders shell commands from jinja2 templates, and quotes every value as data.

Templates of users have bounds, so a slip such as ``range(10**9)`` has an end. The bounds are far
above what a command requires: Linux passes at most 128 KiB as one argument.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache, wraps
from typing import Any

import jinja2
from jinja2 import meta, nodes
from jinja2.sandbox import SandboxedEnvironment

from snakeval.errors import EvaluationError

#: The largest number of a count, such as in ``range(…)``, and the most characters of a text.
MAX_COUNT, MAX_TEXT = 100_000, 1_000_000
#: The most turns of all loops and calls together.
MAX_STEPS = 200_000
#: A call takes as long as so many turns.
_CALL = 20
#: The most bits of a whole number.
_MAX_BITS = 4_096
_STEPS = "snakeval_steps"
#: A width in a format, such as ``%09d`` or ``{:>9}``.
_WIDTH = re.compile(r"[%:][^%{}]*?(\d{6,})")


class TooMuchError(Exception):
    """A template requires more than its bounds."""


class Bounded(SandboxedEnvironment):
    """An environment for one template, whose loops, texts and numbers are bounded."""

    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def __init__(self, finalize: Callable[[object], str] | None = None) -> None:
        super().__init__(undefined=jinja2.StrictUndefined, finalize=finalize)
        self._steps = 0
        self.filters = {name: _bounded(one) for name, one in self.filters.items()}
        self.filters[_STEPS] = self._counted

    def rendered(self, template: str, values: Mapping[str, Any]) -> str:
        """Return the text of *template*.

        Raises:
            TooMuchError: it requires too much.
            TemplateError: it is invalid, or uses an undefined value.
        """
        tree = self.parse(template)
        for loop in tree.find_all(nodes.For):
            loop.iter = nodes.Filter(loop.iter, _STEPS, [], [], None, None)
        code = self.compile(tree)
        found = self.template_class.from_code(self, code, self.make_globals(None))
        parts, size = [], 0
        for part in found.generate(values):
            size += len(part)
            _require(size <= MAX_TEXT, "a text is too long")
            parts.append(part)
        return "".join(parts)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Do an operation whose result has a bound."""
        _require_small(operator, left, right)
        return _short(super().call_binop(context, operator, left, right))

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a function or a macro, whose numbers have a bound."""
        __self._step(_CALL)
        if __obj is not dict:
            _require_counts([*args, *kwargs.values()])
        # The sandbox wraps str.format.
        text = getattr(getattr(__obj, "__wrapped__", __obj), "__self__", None)
        if isinstance(text, str):
            _require_widths(text)
        return _short(super().call(__context, __obj, *args, **kwargs))

    def _counted(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self._step()
            yield item

    def _step(self, steps: int = 1) -> None:
        self._steps += steps
        _require(self._steps <= MAX_STEPS, "its loops do not end soon")


def _require(is_so: bool, problem: str) -> None:
    if not is_so:
        raise TooMuchError(f"{problem}; write the values out")


def _bounded(one: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter whose numbers and text have a bound."""

    @wraps(one)
    def filter_(*args: Any, **kwargs: Any) -> Any:
        _require_counts([*args[1:], *kwargs.values()])
        return _short(one(*args, **kwargs))

    return filter_


def _short(value: Any) -> Any:
    _require(not isinstance(value, str) or len(value) <= MAX_TEXT, "a text is too long")
    return value


def _require_counts(values: Iterable[Any]) -> None:
    for value in values:
        if isinstance(value, int):
            _require(abs(value) <= MAX_COUNT, f"a count is above {MAX_COUNT:,}")


def _require_widths(text: str) -> None:
    widths = map(int, _WIDTH.findall(text[:MAX_TEXT]))
    _require(all(width <= MAX_COUNT for width in widths), f"a width is above {MAX_COUNT:,}")


def _require_small(operator: str, left: Any, right: Any) -> None:
    both = isinstance(left, int) and isinstance(right, int)
    if operator == "**" and both:
        bits = left.bit_length() * max(right, 0)
        _require(bits <= _MAX_BITS, "a number is too large")
    elif operator == "*" and both:
        _require(left.bit_length() + right.bit_length() <= _MAX_BITS, "a number is too large")
    elif operator == "*":
        for items, times in ((left, right), (right, left)):
            if isinstance(items, (str, list, tuple)) and isinstance(times, int):
                _require(len(items) * times <= MAX_COUNT, "a text or a list is too long")
    elif operator == "%" and isinstance(left, str):
        _require_widths(left)
        _require_counts(right if isinstance(right, tuple) else ())


class Raw(str):
    """Text that enters the command unquoted; in a template ``{{ x | raw }}``."""


def _quoting() -> Bounded:
    environment = Bounded(finalize=_quoted)
    environment.filters["raw"] = Raw
    return environment


def render(template: str, values: Mapping[str, Any], what: str = "`command`") -> str:
    """Return the shell text of *template*, with each value quoted for the shell.

    Errors call the template *what*.

    Raises:
        EvaluationError: the template is invalid, or uses an undefined value.
    """
    try:
        return _quoting().rendered(template, values)
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
    try:
        return Bounded().rendered(template, values)
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
