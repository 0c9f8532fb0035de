"""Patterns find the directories of checkpoints, whatever their paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.series.pattern import find, match, why_nothing


def made(place: Path, *names: str) -> None:
    for name in names:
        (place / name).mkdir(parents=True)


def values(pattern: str) -> list[dict[str, str]]:
    return [dict(found.values) for found in find(pattern)]


def test_one_wildcard_finds_directories_only(tmp_path: Path) -> None:
    made(tmp_path, "step-100", "step-0200", "step-", "xstep-1", "tmp-step-300", "step-3/step-4")
    (tmp_path / "step-500").write_text("a file")
    (tmp_path / "step-600").symlink_to(tmp_path / "step-100")
    (tmp_path / "step-700").symlink_to(tmp_path / "gone")
    found = find(f"{tmp_path}/step-{{step}}")
    assert [each.path for each in found] == [
        f"{tmp_path}/step-{step}" for step in ("0200", "100", "3", "600")
    ]
    assert [each.values["step"] for each in found] == ["0200", "100", "3", "600"]


def test_several_wildcards_in_several_folders(tmp_path: Path) -> None:
    made(tmp_path, "lr-1e-5/step-1/hf", "lr-3e-4/step-2/hf", "lr-3e-4/step-3", "x/step-1/hf")
    assert values(f"{tmp_path}/lr-{{lr}}/step-{{step}}/hf") == [
        {"lr": "1e-5", "step": "1"},
        {"lr": "3e-4", "step": "2"},
    ]


def test_several_wildcards_in_one_name_end_at_the_text_between_them(tmp_path: Path) -> None:
    made(tmp_path, "lr-1e-5_step-200", "lr-_step-3", "lr-1")
    assert values(f"{tmp_path}/lr-{{lr}}_step-{{step}}") == [{"lr": "1e-5", "step": "200"}]


def test_a_wildcard_that_repeats_has_one_value(tmp_path: Path) -> None:
    made(tmp_path, "1/model-1", "1/model-2", "2/model-2", "10/model-1")
    found = find(f"{tmp_path}/{{step}}/model-{{step}}")
    assert [each.path for each in found] == [f"{tmp_path}/1/model-1", f"{tmp_path}/2/model-2"]
    made(tmp_path, "a-7-7", "a-7-8")
    assert values(f"{tmp_path}/a-{{n}}-{{n}}") == [{"n": "7"}]


def test_texts_of_a_pattern_mean_themselves(tmp_path: Path) -> None:
    odd = "run (7) [x].+$"
    made(tmp_path, f"{odd}/é-1", f"{odd}/é-line\nbreak", "run (7) x/é-2")
    assert values(f"{tmp_path}/{odd}/é-{{step}}") == [{"step": "1"}, {"step": "line\nbreak"}]


def test_hidden_folders_are_found_by_name_only(tmp_path: Path) -> None:
    made(tmp_path, ".tmp", "1", ".2")
    assert values(f"{tmp_path}/{{step}}") == [{"step": "1"}]
    assert values(f"{tmp_path}/.{{step}}") == [{"step": "2"}, {"step": "tmp"}]
    made(tmp_path, "x-.3")
    assert values(f"{tmp_path}/x-{{step}}") == [{"step": ".3"}]


def test_a_training_that_has_not_begun_has_no_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert find(f"{tmp_path}/none/step-{{step}}") == []
    assert find(f"{tmp_path}/file/step-{{step}}") == []


def test_a_relative_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made(tmp_path, "step-1", "a/step-2")
    assert [each.path for each in find("step-{step}")] == ["step-1"]
    assert [each.path for each in find("{a}/step-{step}")] == ["a/step-2"]


def test_model_ids_may_have_slashes_which_no_value_has() -> None:
    ids = ["org/run7-2", "org/run7-1", "org/run7-1", "org/run7-1/x", "run7-3", "org/run7-"]
    found = match("org/run7-{step}", ids)
    assert [(each.path, each.values["step"]) for each in found] == [
        ("org/run7-1", "1"),
        ("org/run7-2", "2"),
    ]


def test_pattern_that_describes_nothing_says_what_there_is(tmp_path: Path) -> None:
    made(tmp_path, "lr-1/step-2")
    for pattern, lacks in (
        ("lr-{lr}/step-{step}/hf", f"{tmp_path}/lr-1/step-2 has no hf"),
        ("lr-{lr}/Step-{step}", f"{tmp_path}/lr-1 has no Step-{{step}}"),
        ("runs/x/step-{step}", f"{tmp_path} has no runs"),
    ):
        text = f"{tmp_path}/{pattern}"
        assert why_nothing(text) == f"no directory matches {text}: {lacks}"
    assert why_nothing("/no-such/{step}").endswith(": there is no /no-such")
