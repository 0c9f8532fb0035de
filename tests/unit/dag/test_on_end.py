"""What is told when a run ends."""

from __future__ import annotations

import pytest

from snakeval.dag.on_end import fitted

TABLE = """\
| model | metric     | 95 %       | status                   |
|:------|:-----------|:-----------|:-------------------------|
| one   | acc (a\\|b) | 0.1 to 0.2 | done                     |
| two   |            |            | failed: out \\| of coffee |
"""


@pytest.mark.parametrize(
    ("width", "row"),
    [
        (62, "| two   |            |            | failed: out \\| of coffee |"),
        (61, "| two     |            |            | failed   |"),
        (40, "| two     |            | failed   |"),
        (1, "| two     |            | failed   |"),
    ],
)
def test_a_narrow_terminal_sees_what_failed_and_then_not_the_intervals(
    width: int, row: str
) -> None:
    assert fitted(TABLE, width).splitlines()[-1] == row
