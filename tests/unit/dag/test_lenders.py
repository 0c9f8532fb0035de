"""The runs whose answers come first: a run keeps the choice, and names one that is gone."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.dag.invocation import Invocation
from snakeval.errors import ConfigError
from support.invocations import invocation, matrix


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path_factory.mktemp("home")))


def lender(directory: Path) -> Path:
    """A run that has started."""
    directory.mkdir()
    made = invocation(directory)
    made.run.start()
    return made.run.directory.path


def chosen(made: Invocation) -> set[tuple[str, ...]]:
    return {each.transport.answers for each in made.everything}


def test_a_run_keeps_the_choice_for_later_commands(tmp_path: Path) -> None:
    path = lender(tmp_path / "first")
    place = tmp_path / "second"
    place.mkdir()
    planned = matrix(place, answers=str(path), runtime="process")
    assert not planned.invocation.directory.exists, "a plan writes nothing"
    assert any(path.name[-8:] in line and "come first" in line for line in planned.notes())
    planned.save()
    wanted = {(str(path.resolve()),)}
    for same in ({}, {"run": planned.invocation.run.id}, {"offline": True}):
        later = matrix(place, runtime="process", **same)
        assert later.invocation.run.id == planned.invocation.run.id
        assert chosen(later.invocation) == wanted, same
        later.save()
    assert chosen(invocation(place, runtime="process")) == wanted


def test_none_ends_the_choice(tmp_path: Path) -> None:
    path = lender(tmp_path / "first")
    place = tmp_path / "second"
    place.mkdir()
    matrix(place, answers=str(path), runtime="process").save()
    without = matrix(place, answers="none", runtime="process")
    assert chosen(without.invocation) == {()}
    without.save()
    assert chosen(invocation(place, runtime="process")) == {()}


def test_a_run_that_is_gone_never_makes_the_others_pay_silently(tmp_path: Path) -> None:
    path = lender(tmp_path / "first")
    place = tmp_path / "second"
    place.mkdir()
    made = matrix(place, answers=str(path), runtime="process")
    made.save()
    path.rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"which is gone; add `--config answers=none`"):
        invocation(place, runtime="process")
    assert chosen(invocation(place, answers="none", runtime="process")) == {()}
    made.invocation.directory.lenders.write_text("[")
    with pytest.raises(ConfigError, match=r"answers.json: cannot be read"):
        invocation(place, runtime="process")
