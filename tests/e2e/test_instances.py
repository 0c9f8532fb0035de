"""Several servers of one model behind one address, with HAProxy for real."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from support.limits import HUNG
from support.served import Served, kill_9, wait_for

pytestmark = pytest.mark.haproxy


def servers(served: Served) -> list[psutil.Process]:
    """The instances themselves, not the shells around them."""
    return served.programs("snakeval.demo.server")


@pytest.fixture
def served(tmp_path: Path) -> Served:
    """A model of two instances, and three benchmarks that take a while, and wait at the end."""
    served = Served(tmp_path, "process", "careful", instances=2)
    for number in range(3):
        served.asks(f"b{number}", seed=number, count=30, pause=0.1, stays_at=25)
    return served


def test_kill_9_of_an_instance_in_the_middle_costs_nothing(served: Served) -> None:
    head = served.work.start("--cores", "4")
    wait_for(lambda: len(served.recorded.answers) > 6, "no answers")
    wait_for(lambda: served.recorded.loads == {"careful": 2}, "not two instances")
    wait_for(lambda: _used(served) == 2, "one of them has nothing to do")
    kill_9(servers(served)[0])
    wait_for(lambda: served.recorded.loads == {"careful": 3}, "it does not come back")
    served.go()
    output, _ = head.communicate(timeout=HUNG)
    assert head.returncode == 0, output
    assert set(served.scores().values()) == {1}
    table = served.work.table()
    assert set(table["attempt"]) == {1}
    logs = [log.read_text() for log in served.work.run.glob("careful/b*/logs/attempt-*.log")]
    assert len(logs) == 3
    assert not any("resumes" in log for log in logs), "the harnesses noticed"
    assert served.recorded.loads == {"careful": 3}
    assert len(served.recorded.answers) == 90
    # What the dead one had answered and not sent was asked of another.
    assert served.recorded.answers.total() <= 93
    served.nothing_is_left()


def _used(served: Served) -> int:
    """How many servers have answered something."""
    lines = served.ledger.read_text().splitlines()
    return len({line.partition(",")[0] for line in lines if '"prompt"' in line})


def test_kill_9_of_the_head_leaves_no_instance_and_no_proxy(served: Served) -> None:
    head = served.work.start("--cores", "4")
    wait_for(lambda: len(served.recorded.answers) > 6, "no answers")
    assert served.named("haproxy")
    kill_9(psutil.Process(head.pid))
    head.communicate(timeout=HUNG)
    served.nothing_is_left()
