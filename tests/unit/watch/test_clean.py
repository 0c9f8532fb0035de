"""What `snakeval clean` removes of a run, what it keeps, and at whom it stops."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from snakeval.errors import ConfigError
from snakeval.evaluation.attempts import AttemptDirectory, Attempts, Finished
from snakeval.evaluation.directory import EvaluationDirectory
from snakeval.lease import Lease
from snakeval.ledger import summary
from snakeval.run.heads import Head, enter, heads, leave
from snakeval.run.target import find
from snakeval.watch import clean as module
from snakeval.watch.clean import Cleaned, What, clean, look
from support.made import Made, begin, completion, gone, lease_text

ALL = What(requests=True, failed_attempts=True)


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    return Made(tmp_path, "one", "two")


def stores(place: EvaluationDirectory, size: int = 1000) -> Path:
    """Give an evaluation a journal and counts."""
    journal = place.requests / "m/0001.journal"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(bytes(size))
    (place.requests / "summary.json").write_text("{}")
    return journal


def failed_attempt(place: EvaluationDirectory, fingerprint: str, size: int = 500) -> Path:
    attempt = Attempts(place, [fingerprint]).begin()
    (attempt.artifacts / "big").write_bytes(bytes(size))
    return attempt.path


def of(found: list[Cleaned], name: str = "m/one") -> Cleaned:
    return next(each for each in found if each.id == name)


def test_stored_requests_go_and_their_counts_stay(made: Made) -> None:
    place = made.done("one")
    stores(place)
    unfinished = stores(made.begun("two"))
    target = find(str(made.path))
    assert of(look(target, ALL)) == Cleaned("m/one", requests=1000, places=1)
    assert (place.requests / "m").is_dir(), "a look removes nothing"
    found = clean(target, What(requests=True))
    assert of(found) == Cleaned("m/one", requests=1000, places=1)
    assert [path.name for path in place.requests.iterdir()] == ["summary.json"]
    assert unfinished.exists()
    assert of(found, "m/two").kept.startswith("it is not finished: ")
    assert not of(found, "m/two").failed
    assert not place.lease.exists()
    assert of(clean(target, ALL)) == Cleaned("m/one"), "there is no more to remove"


def test_the_stored_requests_of_its_script_go_also(made: Made) -> None:
    place = made.done("one")
    journal = place.requests_by_hand / "m/0001.journal"
    journal.parent.mkdir(parents=True)
    journal.write_bytes(bytes(100))
    heartbeat = summary.Heartbeat(place.requests_by_hand / "gateway")
    assert of(clean(find(str(made.path)), ALL)).failed
    heartbeat.close()
    assert of(clean(find(str(made.path)), ALL)) == Cleaned("m/one", requests=100, places=1)
    assert not journal.exists()


def test_only_the_chosen_evaluation_loses_requests(made: Made) -> None:
    other = stores(made.done("two"))
    stores(made.done("one"))
    assert [each.id for each in clean(find(f"{made.path}/m/one"), ALL)] == ["m/one"]
    assert other.exists()


def test_bytes_that_another_run_shares_do_not_become_free(made: Made, tmp_path: Path) -> None:
    journal = stores(made.done("one"))
    os.link(journal, tmp_path / "link")
    assert of(clean(find(str(made.path)), ALL)) == Cleaned("m/one", shared=1000, places=1)
    assert (tmp_path / "link").read_bytes() == bytes(1000)


def test_attempts_without_a_result_go_and_results_stay(made: Made) -> None:
    place, fingerprint = made["one"], made.evaluations["one"].fingerprint
    failed = failed_attempt(place, fingerprint)
    other = begin(place, "0" * 64)
    earlier = AttemptDirectory(place.attempts / str(other))
    earlier.write_record(replace(completion(made.evaluations["one"], place), attempt=other))
    made.done("one")
    finished = AttemptDirectory(failed_attempt(place, "1" * 64))
    done = place.completion(fingerprint)
    assert done is not None
    finished.finish(replace(Finished.of_record(done), fingerprint="1" * 64))
    begun = AttemptDirectory(failed_attempt(place, "2" * 64))
    damaged = AttemptDirectory(failed_attempt(place, "3" * 64))
    (damaged.path / "completion-3.json").write_text("{")
    found = of(clean(find(str(made.path)), What(failed_attempts=True)))
    assert (found.places, found.requests) == (2, 0)
    assert found.attempts >= 1000
    assert not failed.exists()
    assert not begun.path.exists()
    left = {path.name for path in place.attempts.iterdir()}
    published = str(done.attempt)
    assert left == {str(other), published, str(finished.number), str(damaged.number)}
    assert place.why_incomplete(fingerprint) is None


def test_a_run_at_which_a_snakemake_works_loses_nothing(made: Made) -> None:
    journal = stores(made.done("one"))
    enter(made.directory, ["snakemake"])
    try:
        for act in (look, clean):
            with pytest.raises(ConfigError, match=r"Snakemake works at it .*snakeval kill"):
                act(find(str(made.path)), ALL)
    finally:
        leave(made.directory)
    assert journal.exists()
    of_another = Head("elsewhere", 1, "1", "snakemake", beats=15.0)
    file = made.directory.head_file("elsewhere", 1)
    file.write_text(json.dumps({name: getattr(of_another, name) for name in Head.__slots__}))
    assert heads(made.directory)[0].lives is None
    with pytest.raises(ConfigError, match="on elsewhere"):
        clean(find(str(made.path)), ALL)


def test_an_evaluation_whose_lease_is_held_is_left(made: Made) -> None:
    place = made.done("one")
    journal = stores(place)
    other = stores(made.done("two"))
    with Lease(place.lease):
        assert (of(look(find(str(made.path)), ALL)).kept) == "a job works at it"
        found = clean(find(str(made.path)), ALL)
    assert of(found) == Cleaned("m/one", kept="a job works at it", failed=True)
    assert journal.exists()
    assert not other.exists(), "the others are cleaned"


def test_a_holder_on_another_machine_is_left_if_it_renews_its_lease(made: Made) -> None:
    place = made.done("one")
    journal = stores(place)
    made.heartbeat("one", 0.01)
    beats = iter(range(1000))
    holder = module._Holder(place)

    def renew() -> bool:
        place.lease.write_text(lease_text(host="elsewhere", boot="b", beat=next(beats)))
        return holder()

    assert not renew(), "one look says nothing"
    assert renew()
    place.lease.write_text(lease_text(pid=gone(), start="1"))
    assert not module._Holder(place)(), "it is dead"
    assert of(clean(find(str(made.path)), ALL)).requests == 1000
    assert not journal.exists()


@contextmanager
def beating(place: EvaluationDirectory) -> Iterator[None]:
    heartbeat = summary.Heartbeat(place.requests / "gateway")
    try:
        yield
    finally:
        heartbeat.close()


def test_an_evaluation_whose_gateway_drains_is_left(made: Made) -> None:
    place = made.done("one")
    journal = stores(place)
    with beating(place):
        for act in (look, clean):
            found = of(act(find(str(made.path)), ALL))
            assert (found.kept, found.failed) == ("its gateway finishes requests", True)
    assert journal.exists()
    assert not place.lease.exists()


def test_a_gateway_elsewhere_is_waited_for_until_its_beats_stop(made: Made) -> None:
    place = made.done("one")
    journal = stores(place)
    path = place.requests / "gateway"
    numbers = iter(range(1000))

    def beat(seconds: float) -> None:
        path.write_text(json.dumps({"beat": next(numbers), "boot": "another", "pid": 1}))

    beat(0)
    found = clean(find(str(made.path)), ALL, pause=beat, silence=60)
    assert of(found).kept == "its gateway finishes requests"
    assert journal.exists()
    found = clean(find(str(made.path)), ALL, pause=lambda seconds: None, silence=0.01)
    assert of(found).requests == 1000
    assert not path.exists()


def test_an_evaluation_that_cannot_be_looked_at_is_reported(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = stores(made.done("one"))

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(module.shutil, "rmtree", refuse)
    found = of(clean(find(str(made.path)), ALL))
    assert (found.failed, found.requests) == (True, 0)
    assert found.kept == f"{journal.parent} cannot be looked at or removed (Permission denied)"


def test_an_evaluation_whose_health_fails_keeps_its_answers(made: Made) -> None:
    journal = stores(made.judged("one", given_up=1))
    found = of(clean(find(str(made.path)), ALL))
    assert found.kept.startswith("its health fails: ")
    assert journal.exists()
