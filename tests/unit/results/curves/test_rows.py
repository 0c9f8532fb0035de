"""Curves as plain data."""

from __future__ import annotations

from snakeval.results.curves import rows
from support.curves import only, row, source


def test_each_point_and_each_baseline_is_a_row() -> None:
    figure = only(
        source(row("r@1", 0.6), row("r@2", 0.5), row("r@3", status="failed", reason="lost"),
               row("base", 0.4))
    )  # fmt: skip
    found = rows.rows([figure])
    assert all(tuple(each) == rows.COLUMNS for each in found)
    assert [(e["series"], e["step"], e["value"], e["best"], e["last"]) for e in found] == [
        ("r", "1", 0.6, True, False),
        ("r", "2", 0.5, False, True),
        ("r", "3", None, False, False),
        (None, None, 0.4, False, False),
    ]
    assert [each["baseline"] for each in found] == [False, False, False, True]
    assert (found[2]["status"], found[2]["reason"], found[0]["run"]) == ("failed", "lost", "8b1a")


def test_a_table_has_a_row_for_each_step() -> None:
    found = rows.table(only(source(row("r@2", 0.5), row("s@1", status="failed", reason="lost"))))
    assert found == [
        {"step": "1", "r": "", "s": "failed"},
        {"step": "2", "r": "0.500  0.400 – 0.600", "s": ""},
    ]
