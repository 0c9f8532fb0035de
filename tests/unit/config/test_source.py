"""Tests how configuration files are read and merged, and which file set a key."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.config.source import merge
from snakeval.config.yaml_file import MAX_VALUES, read
from snakeval.errors import ConfigError
from support.configs import write


def test_mappings_merge_and_other_values_replace_earlier_ones(tmp_path: Path) -> None:
    first = write(tmp_path, {"a": {"x": 1, "y": [1, 2]}, "b": {"z": 1}}, "1.yaml")
    second = write(tmp_path, {"a": {"y": [3]}, "b": 5}, "2.yaml")
    assert merge([first, second]).data == {"a": {"x": 1, "y": [3]}, "b": 5}
    assert merge([second, first]).data == {"a": {"x": 1, "y": [1, 2]}, "b": {"z": 1}}


def test_each_key_remembers_the_file_that_set_it_last(tmp_path: Path) -> None:
    first = write(tmp_path, {"a": {"x": 1, "y": 1}}, "1.yaml")
    second = write(tmp_path, {"a": {"y": 2}}, "2.yaml")
    source = merge([first, second], {"b": 1})
    assert source.origin(["a", "x"]) == str(first)
    assert source.origin(["a", "y"]) == str(second)
    assert source.origin(["b"]) == "--config"


def test_the_origin_of_an_unset_key_is_that_of_the_nearest_key_above_or_all_files(
    tmp_path: Path,
) -> None:
    first = write(tmp_path, {"a": {"x": 1}}, "1.yaml")
    second = write(tmp_path, {"b": 2}, "2.yaml")
    source = merge([first, second])
    assert source.origin(["a", "x", "deeper", 0]) == str(first)
    assert source.origin(["c"]) == f"{first} + {second}"
    assert merge([]).origin(["c"]) == "--config"


def test_relative_paths_start_at_the_directory_of_their_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    path = write(tmp_path / "sub", {"a": {"files": "x"}})
    monkeypatch.chdir(tmp_path)
    source = merge([Path("sub") / path.name], {"b": {"files": "x"}})
    assert source.base(["a", "files"]) == tmp_path / "sub"
    assert source.base(["b", "files"]) == tmp_path


def test_several_aliases_of_an_anchor_are_independent(tmp_path: Path) -> None:
    text = "d: &d {x: 1}\nm: {a: *d, b: *d, c: {<<: *d, y: 2}}\n"
    first = write(tmp_path, text, "1.yaml")
    second = write(tmp_path, {"m": {"a": {"x": 9}}}, "2.yaml")
    assert merge([first, second]).data["m"] == {
        "a": {"x": 9}, "b": {"x": 1}, "c": {"x": 1, "y": 2},
    }  # fmt: skip


def test_a_merged_key_may_be_overridden_but_a_duplicate_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "d: &d {x: 1}\nc: {<<: *d, x: 2}\n")
    assert read(path)["c"] == {"x": 2}
    path = write(tmp_path, "c:\n  x: 1\n  'x': 2\n")
    with pytest.raises(ConfigError, match=r"line 3, column 3: duplicate key 'x' \(first"):
        read(path)


def test_a_large_configuration_is_not_an_alias_bomb(tmp_path: Path) -> None:
    rows = "".join(f"  b{number}: *row\n" for number in range(2000))
    data = read(write(tmp_path, f"row: &row {{a: [1, 2, 3]}}\nbenchmarks:\n{rows}"))
    assert len(data["benchmarks"]) == 2000


def test_the_limit_counts_expanded_aliases(tmp_path: Path) -> None:
    def bomb(values: int) -> Path:
        return write(tmp_path, f"a: &a [{'x,' * 999}x]\nb: [{'*a,' * (values // 1000)}]\n")

    assert read(bomb(MAX_VALUES - 10_000))
    with pytest.raises(ConfigError, match="aliases expanded, are more than 1,000,000 or 10 MB of"):
        read(bomb(MAX_VALUES))
    long = write(tmp_path, f"a: &a {'x' * 100_000}\nb: [{'*a,' * 100}]\n")
    with pytest.raises(ConfigError, match="10 MB of text; write fewer, without nested aliases"):
        read(long)


def test_an_empty_file_sets_nothing(tmp_path: Path) -> None:
    assert read(write(tmp_path, "# nothing yet\n")) == {}


def test_read_accepts_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    assert read(write(tmp_path, b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")) == {"a": 1, "b": 2}
