"""Splits a command line into Snakemake's options, with Snakemake's own parser."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from snakeval.config.load import as_written
from snakeval.errors import ConfigError

#: The name of words that are no options: files to build.
TARGETS = "targets"


@dataclass(frozen=True, slots=True)
class Option:
    """An option with its values, or a target.

    Attributes:
        name: its name in Snakemake's parser (``dryrun`` for ``-n``).
        words: the words of the command line.
        values: the words without the option itself.
    """

    name: str
    words: tuple[str, ...]
    values: tuple[str, ...]


def split(words: Sequence[str]) -> list[Option]:
    """Return the options and targets of a command line of Snakemake, without the program.

    An option that the parser does not know has no values.
    """
    if not words:
        return []
    known = _known()
    found: list[Option] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            found += [Option(TARGETS, (target,), (target,)) for target in rest]
            break
        if not word.startswith("-") or word == "-":
            found.append(Option(TARGETS, (word,), (word,)))
            continue
        flag, equals, value = word.partition("=")
        action = known(flag)
        if action is None and not word.startswith("--"):
            # -j4, -nq: a short option with its value or with further options.
            flag, value = word[:2], word[2:]
            action = known(flag)
            if action is not None and action.nargs == 0 and value:
                found.append(Option(action.dest, (flag,), ()))
                rest.insert(0, f"-{value}")
                continue
        values = [value] if equals or (value and action is not None) else []
        if action is not None and not values:
            values = _take(rest, action.nargs)
            words_of = (word, *values)
        else:
            words_of = (word,)
        name = action.dest if action is not None else flag.lstrip("-").replace("-", "_")
        found.append(Option(name, words_of, tuple(values)))
    return found


def _take(rest: list[str], nargs: Any) -> list[str]:
    """Take an option's values from the words after it."""
    most = {None: 1, "?": 1, "*": len(rest), "+": len(rest)}.get(nargs, nargs)
    taken: list[str] = []
    while rest and len(taken) < most and not (rest[0].startswith("-") and len(rest[0]) > 1):
        taken.append(rest.pop(0))
    return taken


def _known() -> Any:
    """Return a function that finds an option of Snakemake by its name or its beginning."""
    from snakemake import cli

    parser: Any = cli.get_argument_parser  # without annotations
    actions = parser()._option_string_actions

    def find(flag: str) -> Any:
        if flag in actions or not flag.startswith("--"):
            return actions.get(flag)
        fitting = {id(a): a for name, a in actions.items() if name.startswith(flag)}
        return next(iter(fitting.values())) if len(fitting) == 1 else None

    return find


def without(options: Sequence[Option], names: Collection[str]) -> list[str]:
    """Return the words of *options*, without the options *names*."""
    return [word for option in options if option.name not in names for word in option.words]


def values(options: Sequence[Option], name: str) -> list[str]:
    """Return the values of the last option *name*."""
    given = [option.values for option in options if option.name == name]
    return list(given[-1]) if given else []


def with_config(words: Sequence[str], key: str, value: str) -> list[str]:
    """Return the words of a command line in which ``--config`` sets *key* to *value*."""
    options = split(words)
    pairs = [pair for pair in values(options, "config") if pair.partition("=")[0] != key]
    return [*without(options, {"config"}), "--config", *pairs, f"{key}={value}"]


def config(options: Sequence[Option]) -> dict[str, Any]:
    """Return the values of ``--config`` in *options*; see :func:`parsed`.

    Raises:
        ConfigError: they are not name=value pairs.
    """
    return parsed(values(options, "config"))


def parsed(pairs: Sequence[str]) -> dict[str, Any]:
    """Return the values of ``--config`` *pairs*: names as texts, the rest as in a file.

    Raises:
        ConfigError: they are not name=value pairs.
    """
    if not pairs:
        return {}
    from snakemake import cli

    parse: Any = cli.parse_config  # without annotations
    try:
        found: dict[str, Any] = parse(pairs)
    except (ValueError, AssertionError) as error:
        raise ConfigError(f"--config {' '.join(pairs)}: {error}") from None
    return as_written(found, pairs)
