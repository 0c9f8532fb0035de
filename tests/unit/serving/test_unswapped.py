"""The files that a swap of weights does not replace."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.serving.unswapped import rest_of
from support.checkpoints import checkpoint
from support.shared import swapped


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))


def test_weights_and_notes_of_the_training_do_not_count(tmp_path: Path) -> None:
    first, second = checkpoint(tmp_path / "1", b"one"), checkpoint(tmp_path / "2", b"two")
    (second / "trainer_state.json").write_text("{}")
    assert rest_of(first) == rest_of(second)
    assert swapped(first).server_id == swapped(second).server_id


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "chat_template.jinja", "m.py"])
def test_another_tokenizer_or_code_is_another_server(tmp_path: Path, name: str) -> None:
    first, second = checkpoint(tmp_path / "1"), checkpoint(tmp_path / "2")
    (second / name).write_text('{"other": 1}')
    assert rest_of(first) != rest_of(second)
    assert swapped(first).server_id != swapped(second).server_id


def test_a_checkpoint_that_is_gone_has_none(tmp_path: Path) -> None:
    assert rest_of(tmp_path / "none") == ""
