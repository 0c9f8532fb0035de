"""Generates three small benchmarks, and answers them with rule-based models.

No language model takes part. `careful` reads the question in a prompt and computes the answer.
`sloppy` does the same and then spoils a known part of its answers. A hash of the question alone
decides whether `sloppy` spoils its answer. Every score is therefore known exactly before a run, and
does not depend on order, concurrency or retries.

    python -m snakeval.demo.items --write DIR    write arithmetic.jsonl, sorting.jsonl, ...
    python -m snakeval.demo.items --check DIR    exit 1 if the files in DIR differ

The generator and the solver share no data. The solver sees only the text of a prompt, as a model
would.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ITEMS_PER_BENCHMARK = 40
UNKNOWN = "I do not know."

#: The percentage of wrong answers of each model, averaged over many questions.
SLIP_PERCENT: Mapping[str, int] = {"careful": 0, "sloppy": 30}

_VOCABULARY = (
    "acorn anchor apple apricot assessment badger balloon banana barley basket beetle "
    "blueberry bookkeeper bottle branch bridge butter button candle carrot castle cherry "
    "cinnamon coffee committee cotton dragon eleven engine feather forest garden ginger hammer "
    "harbour hollow island jacket kettle ladder lantern lemon letter marble meadow millennium "
    "mirror mountain needle orchard paddle parallel pepper pillow pocket possession puzzle "
    "rabbit raisin ribbon river saddle sailor silver sleeveless spinach strawberry summer "
    "teacher thunder turnip umbrella valley velvet walnut whistle window winter yellow"
)
_WORDS = _VOCABULARY.split()


@dataclass(frozen=True)
class Item:
    """One question of a benchmark: a line of its file."""

    id: str
    question: str
    answer: str


@dataclass(frozen=True)
class Family:
    """One kind of question.

    Attributes:
        make: returns a question and its answer for a seed.
        pattern: finds the question in a prompt.
        solve: returns the correct answer to a question that `pattern` found.
        spoil: turns a correct answer into a wrong one.
    """

    make: Callable[[int], tuple[str, str]]
    pattern: re.Pattern[str]
    solve: Callable[[re.Match[str]], str]
    spoil: Callable[[str], str]


def benchmarks() -> list[str]:
    """Return the names of the generated benchmarks."""
    return list(_FAMILIES)


def generate(benchmark: str) -> list[Item]:
    """Return the items of a benchmark, which are equal on every machine and Python version."""
    make = _FAMILIES[benchmark].make
    distinct: dict[str, str] = {}
    seed = 0
    while len(distinct) < ITEMS_PER_BENCHMARK:
        question, answer = make(seed)
        distinct.setdefault(question, answer)
        seed += 1
    return [
        Item(f"{benchmark}-{number:02d}", question, answer)
        for number, (question, answer) in enumerate(distinct.items(), start=1)
    ]


def respond(model: str, prompt: str) -> str:
    """Return the answer of `model` to the last question in `prompt`.

    A harness may put solved examples before the question and a template around it, so only the
    last question counts.
    """
    found = [
        (match.start(), family, match)
        for family in _FAMILIES.values()
        for match in family.pattern.finditer(prompt)
    ]
    if not found:
        return UNKNOWN
    _, family, match = max(found, key=lambda candidate: candidate[0])
    right = family.solve(match)
    slips = _draw(100, "wrong", match.group()) < SLIP_PERCENT[rules_of(model)]
    return family.spoil(right) if slips else right


def rules_of(model: str) -> str:
    """Return a model's name without its organisation: `demo/careful` follows `careful`'s rules."""
    return model.rpartition("/")[2]


def expected_score(model: str, benchmark: str, limit: int | None = None) -> float:
    """Return the fraction of the first `limit` items (None: all) that `model` answers correctly."""
    items = generate(benchmark)[:limit]
    return sum(respond(model, item.question) == item.answer for item in items) / len(items)


def render(benchmark: str) -> str:
    """Return the text of a benchmark's JSONL file."""
    return "".join(f"{json.dumps(asdict(item))}\n" for item in generate(benchmark))


def write(directory: Path) -> list[Path]:
    """Write a JSONL file for each benchmark into `directory`, and return the files' paths."""
    directory.mkdir(parents=True, exist_ok=True)
    for path, text in _files(directory):
        path.write_text(text, encoding="utf-8")
    return [path for path, _ in _files(directory)]


def differing(directory: Path) -> list[Path]:
    """Return the files in `directory` that are missing or differ from this module's output."""
    return [
        path
        for path, text in _files(directory)
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


def _files(directory: Path) -> Iterator[tuple[Path, str]]:
    for benchmark in benchmarks():
        yield directory / f"{benchmark}.jsonl", render(benchmark)


def _draw(bound: int, *key: object) -> int:
    """Return a number below `bound` that depends on `key` alone.

    The number comes from a hash, since `random` may change its choices between Python versions.
    """
    digest = hashlib.sha256(repr(key).encode()).digest()
    return int.from_bytes(digest[:8], "big") % bound


def _words(count: int, *key: object) -> list[str]:
    chosen: list[str] = []
    position = 0
    while len(chosen) < count:
        word = _WORDS[_draw(len(_WORDS), *key, position)]
        if word not in chosen:
            chosen.append(word)
        position += 1
    return chosen


def _make_arithmetic(seed: int) -> tuple[str, str]:
    if _draw(2, "operation", seed):
        left, right = (_draw(990, side, seed) + 10 for side in ("left", "right"))
        text, answer = f"{left} + {right}", left + right
    else:
        left, right = (_draw(28, side, seed) + 2 for side in ("left", "right"))
        text, answer = f"{left} * {right}", left * right
    return f"What is {text}? Answer with the number only.", str(answer)


def _solve_arithmetic(match: re.Match[str]) -> str:
    left, right = int(match["left"]), int(match["right"])
    return str(left + right if match["operator"] == "+" else left * right)


def _make_sorting(seed: int) -> tuple[str, str]:
    words = _words(4, "sorting", seed)
    question = (
        f"Sort these words alphabetically: {', '.join(words)}. "
        "Answer with the words only, separated by commas."
    )
    return question, ", ".join(sorted(words))


def _solve_sorting(match: re.Match[str]) -> str:
    return ", ".join(sorted(match["words"].split(", ")))


def _swap_last_two(answer: str) -> str:
    *words, before_last, last = answer.split(", ")
    return ", ".join([*words, last, before_last])


def _make_letters(seed: int) -> tuple[str, str]:
    (word,) = _words(1, "letters", seed)
    # Mostly a letter of the word; in one question of five any letter, which may be absent.
    alphabet = word if _draw(5, "present", seed) else "abcdefghijklmnopqrstuvwxyz"
    letter = alphabet[_draw(len(alphabet), "letter", seed)]
    question = (
        f'How often does the letter "{letter}" occur in the word "{word}"? '
        "Answer with the number only."
    )
    return question, str(word.count(letter))


def _solve_letters(match: re.Match[str]) -> str:
    return str(match["word"].count(match["letter"]))


def _one_too_many(answer: str) -> str:
    return str(int(answer) + 1)


_FAMILIES: Mapping[str, Family] = {
    "arithmetic": Family(
        make=_make_arithmetic,
        pattern=re.compile(r"What is (?P<left>\d+) (?P<operator>[+*]) (?P<right>\d+)\?"),
        solve=_solve_arithmetic,
        spoil=_one_too_many,
    ),
    "sorting": Family(
        make=_make_sorting,
        pattern=re.compile(r"Sort these words alphabetically: (?P<words>[a-z]+(?:, [a-z]+)+)\."),
        solve=_solve_sorting,
        spoil=_swap_last_two,
    ),
    "letters": Family(
        make=_make_letters,
        pattern=re.compile(
            r'How often does the letter "(?P<letter>[a-z])" '
            r'occur in the word "(?P<word>[a-z]+)"\?'
        ),
        solve=_solve_letters,
        spoil=_one_too_many,
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check the benchmark files, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m snakeval.demo.items", description="Write or check the demo benchmarks."
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--write", type=Path, metavar="DIR", help="write the JSONL files to DIR")
    action.add_argument("--check", type=Path, metavar="DIR", help="exit 1 if the files differ")
    options = parser.parse_args(arguments)
    if options.write is not None:
        for path in write(options.write):
            print(path)
        return 0
    stale = differing(options.check)
    for path in stale:
        print(f"{path} differs from the output of snakeval.demo.items", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
