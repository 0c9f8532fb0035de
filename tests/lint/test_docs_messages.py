"""Every message of the code has its entry on the page of messages, with what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hooks import messages
from hooks.messages import Message


def test_each_message_has_a_station_and_an_action() -> None:
    found = messages.messages()
    assert len(found) > 400
    without = [str(m) for m in found if not (messages.station_of(m) and messages.action(m))]
    assert without == [], "add what to do to docs/hooks/messages.yaml"


def test_each_action_by_hand_is_of_a_message() -> None:
    known = {(messages.station_of(each), each.text) for each in messages.messages()}
    by_hand = {(name, text) for name in messages.stations() for text in messages.by_hand(name)}
    assert by_hand - known == set(), "remove it from docs/hooks/messages.yaml"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("raise ConfigError('no file; correct it')", [("no file; correct it",)]),
        ("raise ConfigError('no file', where='a', hint='correct it')", [("no file", "correct it")]),
        ("Problem(f'{name}: no {what} here')", [("no … here",)]),
        ("raise MyError('a b c d e')", [("a b c d e",)]),
        ("raise ValueError('for programs only')", []),
        ("PydanticCustomError('x', 'has {n} of {why}', {'why': 'two'})", [("has … of two",)]),
        (
            "def f():\n  why = 'one way' if x else 'another'\n  raise ConfigError(why)",
            [("one way",), ("another",)],
        ),
        ("def _e(x):\n  return 'made there'\nraise ConfigError(_e(1))", [("made there",)]),
        ("raise ConfigError(str(error))", []),
        ("target.problem('no server', 'url', 'start it')", [("no server", "start it")]),
    ],
)
def test_a_message_is_its_constant_parts(
    code: str, expected: list[tuple[str, ...]], tmp_path: Path
) -> None:
    own = "class MyError(EvaluationError):\n  pass\n"
    (tmp_path / "a.py").write_text(own + code, encoding="utf-8")
    assert messages.messages(tmp_path) == [Message("a.py", *each) for each in expected]


def test_the_action_is_the_hint_or_the_end_of_the_message() -> None:
    assert Message("a", "no file; write one").action == "write one"
    assert Message("a", "no file; such as", "create it").action == "create it"
    assert Message("a", "no file").action == ""
