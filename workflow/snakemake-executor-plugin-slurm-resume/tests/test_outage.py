"""An outage is one line when it begins and one when it ends."""

from __future__ import annotations

import pytest

from snakemake_executor_plugin_slurm_resume.outage import Outage


class Now:
    def __init__(self) -> None:
        self.now = 0.0
        self.lines: list[str] = []
        self.outage = Outage(self.lines.append, self.lines.append, lambda: self.now)

    def plays(self, events: str, seconds: float) -> None:
        """Play answers (``.``) and failures (``x``), one every so many seconds."""
        for event in events:
            self.now += seconds
            self.outage.fails("down") if event == "x" else self.outage.answers()


@pytest.fixture
def now() -> Now:
    return Now()


BEGINS = "Slurm does not answer (down). Waiting for its answer."


def test_a_controller_that_fails_every_second_call_is_one_outage(now: Now) -> None:
    now.plays("x." * 50, 5)
    assert now.lines == [BEGINS]
    now.plays("." * 10, 5)
    assert now.lines == [BEGINS]
    now.plays("." * 3, 5)
    assert now.lines == [BEGINS, "Slurm answers again. The outage lasted about 8 min."]


def test_the_next_outage_is_reported_again(now: Now) -> None:
    now.plays("x....x", 30)
    assert [line[:13] for line in now.lines] == ["Slurm does no", "Slurm answers", "Slurm does no"]


def test_without_an_outage_answers_are_no_news(now: Now) -> None:
    now.plays("." * 20, 30)
    assert now.lines == []
