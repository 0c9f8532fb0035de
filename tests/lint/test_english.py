"""The linter of English: every kind of text is read, and every finding names its place."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from lint import english
from lint.english import Finding, check_tree, counts, files, main, read_phrases

ROOT = Path(__file__).parents[2]


def listed(root: Path, *lines: str) -> Sequence[english.Phrase]:
    path = root / "phrases.txt"
    path.write_text("# a comment\n\n" + "\n".join(lines), encoding="utf-8")
    return read_phrases(path)


@pytest.fixture
def phrases(tmp_path: Path) -> Sequence[english.Phrase]:
    return listed(
        tmp_path,
        "\\bis told\\b\tname who does it",
        "\\bours\\b\tsnakeval's",
        "(^|[.!?] )(?-i:What)\\b(?![^.?]*\\?)\tbegin with the subject",
    )


def found(root: Path, name: str, text: str, phrases: Sequence[english.Phrase]) -> list[str]:
    path = root / "tree" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return [f"{f.line} {f.text}" for f in check_tree(root / "tree", phrases)]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("README.md", "One.\n\nIt is told.\n", ["3 is told"]),
        ("docs/a.md", "- One is\n  told, and Ours.\n", ["1 is told", "2 Ours"]),
        ("docs/decisions/a.md", "`ours`\n", ["1 ours"]),
        ("docs/a.md", "Yes. What counts.\nNo. What is it?\n", ["1 What"]),
        ("workflow/p/a.py", '"""It is told."""\n', ["1 is told"]),
        ("workflow/p/a.py", '"""One.\n\n    It is\n    told.\n"""\n', ["3 is told"]),
        ("workflow/p/a.py", "def f():\n    raise E('it is told')\n", ["2 is told"]),
        ("workflow/p/a.py", "x = (\n  'a b is '\n  'told'\n)\n", ["2 is told"]),
        ("workflow/p/a.py", "x = (\n  'a b '\n  f'{c} is told'\n)\n", ["3 is told"]),
        ("workflow/p/a.py", "x = f'a {c} is told {d!r:>{e}} ours'\n", ["1 is told", "1 ours"]),
        ("workflow/p/a.py", "x = 1  # is told\n", ["1 is told"]),
        ("workflow/p/a.py", "# it is\n# told\nx = 1\n", ["1 is told"]),
        ("workflow/p/a.py", "#: it is told\nx = 1\n", ["1 is told"]),
        ("rules/a.smk", 'rule a:\n    """Is told."""\n    # ours\n', ["2 Is told", "3 ours"]),
        ("Snakefile", "# ours\nrule all:\n    input: matrix.all\n", ["1 ours"]),
        ("profiles/local/config.yaml", "cores: 4  # ours\n# is\n# told\n", ["1 ours", "2 is told"]),
        ("config/a.yaml", "# is told\n", ["1 is told"]),
        ("Makefile", "a: b  ## ours\n\t@c\n", ["1 ours"]),
        ("tests/unit/test_a.py", "async def test_it_is_told():\n    pass\n", ["1 is told"]),
        ("workflow/plugin/tests/test_a.py", "def test_ours():\n    pass\n", ["1 ours"]),
        ("workflow/p/page.html.j2", "<p>It is told</p>\n", ["1 is told"]),
    ],
)
def test_a_phrase_is_found_with_its_line(
    name: str,
    text: str,
    expected: list[str],
    phrases: Sequence[english.Phrase],
    tmp_path: Path,
) -> None:
    assert found(tmp_path, name, text, phrases) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("CHANGELOG.md", "It is told.\n"),
        ("docs/a.md", "This is\n\ntold.\n"),
        ("docs/a.md", "- This is\n- told.\n"),
        ("docs/a.md", "yours, hours, retold, is-told\n"),
        ("workflow/p/a.py", "x = {'ours': 1, 'told': ours}\n"),
        ("workflow/p/a.py", "x = f'a {ours} b {told[\"ours\"]} c'\n"),
        ("workflow/p/a.py", "f('a is ', 'told b')\n"),
        ("workflow/p/a.py", "x = f'a is {b} told, is {{told'\n"),
        ("workflow/p/.venv/a.py", '"""It is told."""\n'),
        ("tests/unit/test_a.py", "def helper_is_told():\n    '''It is told.'''\n    # ours\n"),
        ("config/a.yaml", "is_told: it is#told\n"),
        ("data/a.md", "ours\n"),
    ],
)
def test_other_text_is_no_finding(
    name: str, text: str, phrases: Sequence[english.Phrase], tmp_path: Path
) -> None:
    assert found(tmp_path, name, text, phrases) == []


def test_of_two_phrases_for_the_same_words_the_first_counts(tmp_path: Path) -> None:
    phrases = listed(tmp_path, "\\bis told\\b\tname who does it", "\\btold\\b\treports")
    (tmp_path / "README.md").write_text("It is told, and told.\n", encoding="utf-8")
    assert [f.advice for f in check_tree(tmp_path, phrases)] == ["name who does it", "reports"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("workflow/p/a.py", "x = 'a is told'  # english: the server's own words\n"),
        ("workflow/p/a.py", "# a is told  # english: a quotation\n"),
        ("workflow/p/a.py", '"""One.\n\nIt is told.\n"""  # english: a quotation\n'),
        ("docs/a.md", "It is told. <!-- english: a quotation -->\n"),
        ("tests/unit/test_a.py", "def test_ours():  # english: the name of a key\n    pass\n"),
        ("profiles/local/config.yaml", "cores: 4  # ours  # english: a quotation\n"),
    ],
)
def test_a_line_with_a_reason_is_exempt(
    name: str, text: str, phrases: Sequence[english.Phrase], tmp_path: Path
) -> None:
    assert found(tmp_path, name, text, phrases) == []


def test_an_exemption_covers_its_own_line_only(
    phrases: Sequence[english.Phrase], tmp_path: Path
) -> None:
    text = "Ours. <!-- english: a quotation -->\nOurs.\n"
    assert found(tmp_path, "README.md", text, phrases) == ["2 Ours"]


def test_an_exemption_without_a_reason_is_a_finding(
    phrases: Sequence[english.Phrase], tmp_path: Path
) -> None:
    text = "x = 'a is told'  # english:\n"
    assert found(tmp_path, "workflow/p/a.py", text, phrases) == ["1 english:", "1 is told"]


def test_findings_are_counted_by_folder() -> None:
    places = ["README.md", "workflow/a/b/c/d.py", "workflow/a/b/e.py", "docs/a.md"]
    findings = [Finding(path, 1, "ours", "snakeval's") for path in places]
    assert counts(findings) == {".": 1, "docs": 1, "workflow/a/b": 2}


@pytest.mark.parametrize("line", ["\\bours\\b", "\\bours\\b\t", "(ours\tsnakeval's"])
def test_a_damaged_list_of_phrases_names_its_line(line: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"phrases\.txt:3"):
        listed(tmp_path, line)


def test_the_command_prints_findings_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("One.\n\nDo it anew.\n", encoding="utf-8")
    (tmp_path / "README.md").write_text("Anew.\n", encoding="utf-8")
    assert main(["--root", str(tmp_path)]) == 1
    assert capsys.readouterr().out == (
        "README.md:1: 'Anew' -> again\ndocs/a.md:3: 'anew' -> again\n"
    )
    assert main(["--root", str(tmp_path), "docs"]) == 1
    assert capsys.readouterr().out == "docs/a.md:3: 'anew' -> again\n"
    assert main(["--root", str(tmp_path), "--count"]) == 1
    assert capsys.readouterr().out.split() == ["1", ".", "1", "docs", "2", "in", "all"]


def test_a_clean_tree_passes_as_a_program(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("snakeval runs again.\n", encoding="utf-8")
    command = [sys.executable, english.__file__, "--root", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_phrase_of_the_list_has_an_advice_and_matches_no_empty_text() -> None:
    phrases = read_phrases()
    assert len(phrases) >= 50
    assert [phrase for phrase in phrases if phrase.pattern.search("")] == []


def test_the_linter_reads_every_part_of_this_checkout() -> None:
    tops = {name.partition("/")[0] for name in files(ROOT)}
    assert tops >= {
        *("README.md", "Snakefile", "Makefile", "pyproject.toml", "docs", "rules", "scripts"),
        *("config", "profiles", "workflow", "tests", "benchmarks", "docker"),
    }
    assert "CHANGELOG.md" not in tops
    assert not [name for name in files(ROOT) if ".venv/" in name]
