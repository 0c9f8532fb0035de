"""The loop that stops things: in stages, act by act, with a deadline after each act."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from snakeval.errors import EvaluationError
from snakeval.executors.base import Act, Fate, Remain, Stage, Stopping
from snakeval.watch.stop import Patience, _Loop

QUICK = Patience(grace=0.05, step=0.05, settle=5, look=0.02)


@dataclass
class Thing:
    """Something that goes some seconds after the act of a number."""

    name: str
    goes_at: int = 0
    after: float = 0.0
    done: list[int] = field(default_factory=list)
    gone: float = float("inf")

    def act(self, number: int) -> Act:
        def do() -> None:
            self.done.append(number)
            if number == self.goes_at:
                self.gone = time.monotonic() + self.after

        return do

    def look(self) -> Iterator[Remain]:
        if time.monotonic() < self.gone:
            yield Remain(self.name, self.name, (self.act(0), self.act(1), self.act(2)))


def stopped(
    *things: tuple[Stage, Thing], patience: Patience = QUICK
) -> tuple[list[str], list[str]]:
    said: list[str] = []
    asked = [Stopping({stage: thing.look}) for stage, thing in things]
    return _Loop(asked, said.append, patience).run().left, said


def test_a_thing_that_listens_gets_one_act() -> None:
    thing = Thing("job")
    assert stopped((Stage.WORKERS, thing)) == ([], ["Ends job"])
    assert thing.done == [0]


def test_after_the_last_act_it_has_the_time_that_it_needs() -> None:
    thing = Thing("job", goes_at=2, after=0.5)  # much longer than grace and step
    assert stopped((Stage.WORKERS, thing))[0] == []
    assert thing.done == [0, 1, 2]


def test_a_look_that_takes_long_makes_no_act_come_early() -> None:
    class Slow(Thing):
        def look(self) -> Iterator[Remain]:
            time.sleep(0.2)  # longer than grace and step together
            yield from super().look()

    thing = Slow("job", goes_at=1, after=0.0)
    assert stopped((Stage.WORKERS, thing))[0] == []
    assert thing.done == [0, 1]


def test_what_nothing_stops_is_left_and_later_stages_follow() -> None:
    deaf, server = Thing("job", goes_at=9), Thing("server")
    impatient = Patience(grace=0.05, step=0.05, settle=0.1, look=0.02)
    left, said = stopped((Stage.SERVERS, server), (Stage.WORKERS, deaf), patience=impatient)
    assert left == ["job"]
    assert said == ["Ends job", "Ends server"]
    assert (deaf.done, server.done) == ([0, 1, 2], [0])


def test_an_act_that_cannot_be_done_says_why() -> None:
    def fail() -> None:
        raise EvaluationError("it is not allowed")

    remain = Remain("e", "endpoint e", (fail, None, None), left="endpoint e there")
    result = _Loop([Stopping({Stage.LEFT: lambda: [remain]})], lambda text: None, QUICK).run()
    assert (result.left, result.was_any) == (["endpoint e there: it is not allowed"], True)


def test_what_stays_or_cannot_be_known_is_not_waited_for() -> None:
    remains = [
        Remain("a", "job a: the next start collects it", fate=Fate.STAYS),
        Remain("b", "job b, perhaps: silent", fate=Fate.UNKNOWN),
    ]
    said: list[str] = []
    result = _Loop([Stopping({Stage.LEFT: lambda: remains})], said.append, QUICK).run()
    assert said == ["Keeps job a: the next start collects it"]
    assert result.left == ["job b, perhaps: silent"]
