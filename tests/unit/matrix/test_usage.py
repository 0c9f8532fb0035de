"""What evaluations used, and what the next ones will probably use."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snakeval.evaluation.definition import Evaluation, Identity, Transport
from snakeval.evaluation.requests import Counts
from snakeval.matrix.usage import Begun, Usage, Usages, predicted
from snakeval.run.directory import RunDirectory
from support.made import begin

PRICES = {"m": {"input": 2.0, "output": 4.0, "currency": "EUR"}, "judge": {"input": 1.0}}


def evaluation(task: str = "mine", limit: int | None = None, **transport: Any) -> Evaluation:
    params = {"limit_samples": limit, "temperature": 0}
    identity = Identity("h", "generic", "i", task, "m-id", "u", "chat", params)
    return Evaluation("m", "b", identity, Transport(**transport))


def counts(requests: int, prompt: int | None, completion: int | None) -> Counts:
    return Counts(requests, prompt_tokens=prompt, completion_tokens=completion)


def learned(one: Evaluation, samples: int | None, **found: Counts) -> Usages:
    usages = Usages({})
    usages.learn(one, "2026-11-30", samples, lambda: found)
    return usages


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path))
    return tmp_path / "usage.json"


def test_the_next_run_knows_what_the_last_used() -> None:
    assert Usages.load().expect(evaluation()) is None
    usages = learned(evaluation(), 100, m=counts(120, 1000, 50), judge=counts(60, None, None))
    usages.save()
    expected = {"m": Usage(120, 1000, 50), "judge": Usage(60, None, None)}
    assert Usages.load().expect(evaluation()) == expected
    assert Usages.load().expect(evaluation("other")) is None


def test_what_is_known_is_not_read_again() -> None:
    usages = learned(evaluation(), 100, m=counts(120, 1000, 50))

    def unread() -> Mapping[str, Counts]:
        raise AssertionError

    usages.learn(evaluation(), "2026-11-30", 100, unread)
    usages.learn(evaluation(), "2026-12-01", 100, lambda: {"m": counts(1, 1, 1)})
    assert usages.expect(evaluation()) == {"m": Usage(1, 1, 1)}


@pytest.mark.parametrize(
    ("task", "before", "samples", "now", "factor"),
    [
        ("mine", 10, 10, 10, 1),
        ("mine", None, 100, 10, 0.1),
        ("mine", 10, 10, 30, 3),
        ("mine", 10, 10, None, None),  # how many samples it has is not known
        ("ifeval", 10, 10, None, 54.1),
        ("ifeval", 10, 10, 9999, 54.1),
        ("mine", 10, None, 30, None),
        ("mine", 10, 8, None, 1),  # it has no more than 8
    ],
)
def test_another_number_of_samples_uses_more_or_less(
    task: str, before: int | None, samples: int | None, now: int | None, factor: float | None
) -> None:
    usages = learned(evaluation(task, before), samples, m=counts(20, 100, 50))
    found = usages.expect(evaluation(task, now))
    wanted = None if factor is None else {"m": Usage(20, 100, 50).times(factor)}
    assert found == wanted


def test_another_model_has_used_about_as_much() -> None:
    usages = learned(evaluation(), 10, m=counts(20, 100, 50))
    one = evaluation()
    other = replace(one, model="n", identity=replace(one.identity, model_id="n-id"))
    assert usages.expect(other) == {"n": Usage(20, 100, 50)}


def test_a_model_whose_stored_answers_are_scored_again_uses_nothing() -> None:
    usages = learned(evaluation(), 10, m=counts(20, 100, 50), judge=counts(5, 10, 1))
    judged = evaluation(offline=True, online=("judge",))
    assert usages.expect(judged) == {"judge": Usage(5, 10, 1)}
    assert usages.expect(evaluation(offline=True)) == {}


def test_the_line_has_tokens_requests_and_money_and_says_what_is_unknown() -> None:
    million = counts(20, 1_000_000, 250_000)
    usages = learned(evaluation(), 10, m=million, judge=counts(5, 500_000, None))
    paid = evaluation(prices=PRICES)
    assert predicted([paid], usages) == ("Predicted: about 1,750,000 tokens, 25 requests, 3.50 EUR")
    assert predicted([paid, evaluation("other")], usages) == (
        "Predicted: about 1,750,000 tokens, 25 requests, 3.50 EUR; unknown for 1 of 2 evaluations"
    )
    assert predicted([evaluation()], usages) == "Predicted: about 1,750,000 tokens, 25 requests"
    served = evaluation(prices={"m": {"hour": 2.0}})
    assert predicted([served], usages).endswith("25 requests, and servers by the hour")
    silent = learned(evaluation(), 10, m=counts(20, None, None))
    assert predicted([paid], silent) == "Predicted: unknown tokens, 20 requests, an unknown cost"
    assert predicted([paid], Usages({})).startswith("Predicted: unknown, since no earlier run")


def test_a_run_of_few_samples_is_a_sample_of_a_benchmark_of_unknown_size() -> None:
    usages = learned(evaluation(limit=10), 10, m=counts(20, 1000, 500))
    assert usages.expect(evaluation(prices=PRICES)) is None
    assert predicted([evaluation(prices=PRICES)], usages) == (
        "Predicted: unknown, since the number of samples is unknown; "
        "m/b: about 150 tokens, 2 requests, 0.000400 EUR for each sample"
    )
    assert predicted([evaluation(limit=1000, prices=PRICES)], usages) == (
        "Predicted: about 150,000 tokens, 2,000 requests, 0.400 EUR"
    )


def test_the_first_requests_of_an_interrupted_evaluation_predict_its_rest() -> None:
    one = evaluation(prices=PRICES)
    begun = {"m/b": Begun({"m": Usage(10, 1000, 500)}, 0.25)}
    line = "Predicted: about 4,500 tokens, 30 requests, 0.0120 EUR"
    assert predicted([one], Usages({}), begun) == f"{line}; 1 of 1 by first requests"
    usages = learned(one, 10, m=counts(20, 1500, 600))
    begun = {"m/b": Begun({"m": Usage(10, 1000, 500)})}  # the harness counts no requests
    line = "Predicted: about 600 tokens, 10 requests, 0.00140 EUR"
    assert predicted([one], usages, begun) == line


def test_the_first_requests_are_those_of_the_log_and_the_gateway(tmp_path: Path) -> None:
    one = evaluation()
    place = RunDirectory(tmp_path / "run").evaluation("m/b")
    assert Begun.of(one, place) is None
    place.define(one)
    begin(place, one.fingerprint)
    assert Begun.of(one, place) is None, "no request"
    part = {
        "requests": 11, "failed": 1, "not_asked_again": 0, "latency": {},
        "answers": {"asked": 10, "journal": 0}, "tokens": {"prompt": 1000, "completion": 500},
    }  # fmt: skip
    place.requests.mkdir()
    (place.requests / "summary.json").write_text(json.dumps({"upstreams": {"m": part}}))
    assert Begun.of(one, place) == Begun({"m": Usage(10, 1000, 500)})
    place.newest_log().write_text("Requesting API:  25%|██▌       | 10/40 [00:03<00:09,  3.3it/s]")
    found = Begun.of(one, place)
    assert found is not None
    assert found.whole == {"m": Usage(40, 4000, 2000)}
    assert Begun.of(evaluation("changed"), place) is None


def test_a_damaged_file_knows_nothing(file: Path) -> None:
    file.write_text('{"x": ')
    assert Usages.load().expect(evaluation()) is None
    learned(evaluation(), 10, m=counts(1, 1, 1)).save()
    file.write_text(file.read_text().replace("samples", "amples"))
    assert Usages.load().expect(evaluation(limit=4)) is None


def test_a_damaged_entry_is_learned_again() -> None:
    usages = learned(evaluation(), 10, m=counts(20, 100, 50))
    (key,) = usages._known
    damaged = Usages({key: {"m-id": [1]}})
    assert damaged.expect(evaluation()) is None
    damaged.learn(evaluation(), "2026-11-30", 10, lambda: {"m": counts(20, 100, 50)})
    assert damaged.expect(evaluation()) == {"m": Usage(20, 100, 50)}
