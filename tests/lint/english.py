"""Finds phrases that the project's style forbids, and says what to write instead.

The linter reads documentation, messages, docstrings, comments and test names. The phrases are in
``banned.txt`` next to this file: a regular expression, a tab, an advice. A phrase may continue on
the next line. A line that ends with ``# english: REASON`` is exempt; in Markdown the comment is
``<!-- english: REASON -->``. On the last line of a string the comment exempts the whole string.

Long because it is one script, which `make english` runs without a package.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import tokenize
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

PHRASES = Path(__file__).with_name("banned.txt")
_EXEMPT = re.compile(r"(?:#|//|/\*|<!--|\{#)\s*english:[ \t]*(?P<reason>\S[^>*}]*\w)?")
_TEST_NAME = re.compile(r"(?m)^[ \t]*(?:async[ \t]+)?def[ \t]+(?P<name>test_\w+)")
_PREFIX = re.compile(r"[A-Za-z]*")
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
#: What a value in an f-string reads as. No phrase matches across it.
_VALUE = "…"
# Python 3.12 splits an f-string into several tokens; Python 3.11 has neither of these.
_F_START = getattr(tokenize, "FSTRING_START", -1)
_F_END = getattr(tokenize, "FSTRING_END", -1)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A forbidden phrase and the advice that replaces it."""

    pattern: re.Pattern[str]
    advice: str


@dataclass(frozen=True, slots=True)
class Finding:
    """One place that holds a forbidden phrase."""

    path: str
    line: int
    text: str
    advice: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: '{self.text}' -> {self.advice}"


class Passage:
    """Text that people read as one piece, with the source line of each part.

    Attributes:
        closed: the line on which a string ends; 0 for other text.
    """

    def __init__(self) -> None:
        self.text = ""
        self.closed = 0
        self._starts: list[int] = []
        self._lines: list[int] = []

    def add(self, line: int, text: str, joint: str = " ") -> None:
        """Append *text*, which may have several lines, the first of which is *line*."""
        for offset, part in enumerate(text.split("\n")):
            words = part if offset == 0 and not joint else part.strip()
            between = " " if offset else joint
            self.text += between if self.text and not self.text.endswith(" ") else ""
            self._starts.append(len(self.text))
            self._lines.append(line + offset)
            self.text += words

    def line(self, position: int) -> int:
        """Return the source line of a position in :attr:`text`."""
        return self._lines[max(bisect_right(self._starts, position) - 1, 0)]


def read_phrases(path: Path = PHRASES) -> list[Phrase]:
    """Read the list of forbidden phrases.

    Raises:
        ValueError: a line has no advice, or its expression is not valid.
    """
    phrases = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        expression, tab, advice = line.partition("\t")
        if not tab or not advice.strip():
            raise ValueError(f"{path.name}:{number}: no tab and advice after the expression")
        try:
            pattern = re.compile(expression, re.IGNORECASE)
        except re.error as error:
            raise ValueError(f"{path.name}:{number}: {error}") from None
        phrases.append(Phrase(pattern, advice.strip()))
    return phrases


# --- passages of a file ---------------------------------------------------------------------------


def _paragraphs(source: str) -> Iterator[Passage]:
    """Yield the paragraphs, list items and table rows of Markdown and similar text."""
    passage = Passage()
    for number, line in enumerate(source.splitlines(), 1):
        words = line.strip()
        if not words or re.match(r"(?:[-*+]|\d+\.)\s|[|#>]|```", words):
            yield passage
            passage = Passage()
        if words:
            passage.add(number, _EXEMPT.sub("", words))
    yield passage


def _hash_comments(source: str) -> Iterator[Passage]:
    """Yield the comments of YAML, shell, TOML and Make; consecutive lines are one passage."""
    passage = Passage()
    for number, line in enumerate(source.splitlines(), 1):
        found = re.search(r"(?:^|\s)#+(.*)", line)
        alone = found is not None and not line[: found.start()].strip()
        if not alone or not passage.text:
            yield passage
            passage = Passage()
        if found and not (number == 1 and line.startswith("#!")):
            passage.add(number, _EXEMPT.sub("", f"#{found[1]}").lstrip("#"))
    yield passage


def _python(source: str) -> Iterator[Passage]:
    """Yield the comments and the strings of Python and of Snakemake's language.

    Strings without a space are names, keys or paths, and no text.
    """
    strings, comments = Passage(), Passage()
    alone = -1  # the last line that is a comment and nothing else
    lines = source.splitlines(keepends=True)
    f_strings: list[tuple[int, int]] = []  # where the open ones start
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kind, text, (line, column) = token.type, token.string, token.start
        if kind == _F_START:
            f_strings.append(token.start)
        elif kind == _F_END:
            line, column = f_strings.pop()
            if not f_strings:
                strings.add(line, _contents(_between(lines, (line, column), token.end)), joint="")
                strings.closed = token.end[0]
        elif f_strings:
            continue
        elif kind == tokenize.STRING:
            strings.add(line, _contents(text), joint="")
            strings.closed = token.end[0]
        elif kind == tokenize.COMMENT:
            own_line = not token.line[:column].strip()
            if not (own_line and alone == line - 1):
                yield comments
                comments = Passage()
            alone = line if own_line else -1
            comments.add(line, _EXEMPT.sub("", text).lstrip("#: "))
        elif kind not in (tokenize.NL, tokenize.INDENT, tokenize.DEDENT):
            # Only adjacent strings are one text.
            if " " in strings.text.strip():
                yield strings
            strings = Passage()
    yield comments


def _between(lines: Sequence[str], start: tuple[int, int], end: tuple[int, int]) -> str:
    text = "".join(lines[start[0] - 1 : end[0]])
    return text[start[1] : len(text) - len(lines[end[0] - 1]) + end[1]]


def _contents(literal: str) -> str:
    """Return the text of a string literal; a value within an f-string reads as an ellipsis."""
    prefix = _PREFIX.match(literal)
    assert prefix is not None
    flags = prefix[0].lower()
    body = literal[prefix.end() :]
    quote = 3 if body[:3] in ('"""', "'''") else 1
    body = body[quote:-quote]
    if "f" in flags:
        body = _without_values(body)
    return body if "r" in flags else _ESCAPE.sub(_unescaped, body)


def _without_values(body: str) -> str:
    """Replace the values of an f-string, and keep its line breaks."""
    kept, depth, position = [], 0, 0
    while position < len(body):
        two, one = body[position : position + 2], body[position]
        if not depth and two in ("{{", "}}"):
            kept.append(one)
            position += 1
        elif one == "{":
            kept.append("" if depth else _VALUE)
            depth += 1
        elif one == "}":
            depth -= 1
        elif not depth or one == "\n":
            kept.append(one)
        position += 1
    return "".join(kept)


def _unescaped(escape: re.Match[str]) -> str:
    if escape[1] == "\n":
        return "\n"
    return escape[1] if escape[1] in "\"'\\" else " "


def _test_names(source: str) -> Iterator[Passage]:
    """Yield the names of tests, as words."""
    for found in _TEST_NAME.finditer(source):
        passage = Passage()
        words = found["name"].removeprefix("test_").replace("_", " ")
        passage.add(source.count("\n", 0, found.start("name")) + 1, words)
        yield passage


Reader = Callable[[str], Iterator[Passage]]
#: The first pattern that matches a path decides how to read it; None is a file that stays unread.
READERS: tuple[tuple[str, Reader | None], ...] = (
    ("CHANGELOG.md", None),  # history
    ("tests/**/*.py", _test_names),
    ("workflow/*/tests/**/*.py", _test_names),
    ("*.md", _paragraphs),
    ("docs/**/*.md", _paragraphs),
    ("docker/**/*.md", _paragraphs),
    ("examples/**/*.md", _paragraphs),
    ("workflow/**/*.md", _paragraphs),
    ("rules/**/*.rst", _paragraphs),
    ("workflow/**/*.j2", _paragraphs),
    ("workflow/**/*.js", _paragraphs),
    ("Snakefile", _python),
    ("rules/**/*.smk", _python),
    ("scripts/**/*.py", _python),
    ("benchmarks/**/*.py", _python),
    ("docs/**/*.py", _python),
    ("examples/**/*.py", _python),
    ("workflow/**/*.py", _python),
    ("config/**/*.yaml", _hash_comments),
    ("examples/**/*.yaml", _hash_comments),
    ("profiles/**/*.yaml", _hash_comments),
    ("rules/**/*.yaml", _hash_comments),
    ("workflow/**/*.yaml", _hash_comments),
    ("docker/**/Dockerfile", _hash_comments),
    ("docker/**/*.txt", _hash_comments),
    (".ci/*", _hash_comments),
    (".pre-commit-config.yaml", _hash_comments),
    ("CITATION.cff", _hash_comments),
    ("Makefile", _hash_comments),
    ("pyproject.toml", _hash_comments),
    ("workflow/*/pyproject.toml", _hash_comments),
)


def files(root: Path) -> dict[str, Reader]:
    """Return each file below *root* that people read, with its reader."""
    found: dict[str, Reader | None] = {}
    for pattern, reader in READERS:
        for path in root.glob(pattern):
            if path.is_file() and not {"__pycache__", ".venv"} & set(path.parts):
                found.setdefault(path.relative_to(root).as_posix(), reader)
    return {name: reader for name, reader in sorted(found.items()) if reader is not None}


# --- findings -------------------------------------------------------------------------------------


def check(path: str, source: str, reader: Reader, phrases: Sequence[Phrase]) -> list[Finding]:
    """Return the findings of one file, in the order of its lines."""
    exempt: set[int] = set()
    findings: list[Finding] = []
    for number, text in enumerate(source.splitlines(), 1):
        if found := _EXEMPT.search(text):
            if found["reason"]:
                exempt.add(number)
            else:
                findings.append(Finding(path, number, "english:", "add the reason"))
    for passage in reader(source):
        if not passage.text or passage.closed in exempt:
            continue
        taken: set[int] = set()  # the letters that an earlier phrase matched
        for phrase in phrases:
            for match in phrase.pattern.finditer(passage.text):
                letters = range(*match.span())
                line = passage.line(match.start())
                if taken.isdisjoint(letters) and line not in exempt:
                    words = match[0].lstrip(".!? ")
                    findings.append(Finding(path, line, words, phrase.advice))
                taken.update(letters)
    return sorted(findings, key=lambda finding: (finding.line, finding.text))


def check_tree(root: Path, phrases: Sequence[Phrase], only: Iterable[str] = ()) -> list[Finding]:
    """Return the findings of all files below *root*, or of those in *only*."""
    chosen = {PurePosixPath(name).as_posix() for name in only}
    findings: list[Finding] = []
    for name, reader in files(root).items():
        if not chosen or any(name == one or name.startswith(f"{one}/") for one in chosen):
            source = (root / name).read_text(encoding="utf-8")
            findings += check(name, source, reader, phrases)
    return findings


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """Return the number of findings in each folder, at most three levels deep."""
    found = Counter("/".join(PurePosixPath(f.path).parts[:-1][:3]) or "." for f in findings)
    return dict(sorted(found.items()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the tree; return 0 if it is clean and 1 if it is not."""
    parser = argparse.ArgumentParser(prog="english.py", description=__doc__.partition("\n")[0])
    parser.add_argument("paths", nargs="*", help="files or folders below the root (default: all)")
    parser.add_argument("--count", action="store_true", help="print the findings of each folder")
    parser.add_argument("--root", type=Path, default=PHRASES.parents[2], help="the checkout")
    parser.add_argument("--phrases", type=Path, default=PHRASES, help="the list of phrases")
    options = parser.parse_args(arguments)
    findings = check_tree(options.root, read_phrases(options.phrases), options.paths)
    if options.count:
        for folder, number in counts(findings).items():
            print(f"{number:6} {folder}")
        print(f"{len(findings):6} in all")
    else:
        for finding in findings:
            print(finding)
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
