"""Costs of evaluations, models and runs, by prices and the ledger's tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from snakeval.results import readable
from snakeval.results.money import Costs, Money
from snakeval.results.table import COLUMNS, COSTS, records, table
from snakeval.run.directory import RunDirectory
from snakeval.run.plan import Planned

PRICES = {"input": 2.0, "output": 8.0, "cached": 0.5, "currency": "EUR"}
PLAN = (Planned("m", "a", "f"), Planned("m", "b", "f"), Planned("n", "a", "f"))


def answered(count: int, tokens: Mapping[str, int], uncounted: int = 0) -> dict[str, Any]:
    return {
        "requests": count, "answers": {"asked": count, "journal": 0}, "failed": 0,
        "not_asked_again": 0, "tokens": dict(tokens), "uncounted": uncounted, "latency": {},
    }  # fmt: skip


def asked(run: RunDirectory, item: str, **upstreams: Any) -> None:
    place = run.evaluation(item).requests
    place.mkdir(parents=True)
    (place / "summary.json").write_text(json.dumps({"format": 1, "upstreams": upstreams}))


def started(directory: Path, **prices: Mapping[str, Any]) -> RunDirectory:
    run = RunDirectory(directory / "run")
    run.write_plan(PLAN)
    models = {"m": {}, "n": {}} | {name: {"prices": dict(price)} for name, price in prices.items()}
    run.write_config(yaml.safe_dump({"models": models, "auxiliary": None}), "0")
    return run


def test_the_cost_of_an_evaluation_is_of_all_models_that_it_asks(tmp_path: Path) -> None:
    run = started(tmp_path, m=PRICES, judge={"input": 1.0, "output": 1.0, "currency": "EUR"})
    tokens = {"prompt": 1_000_000, "completion": 100_000, "cached": 400_000}
    judged = {"prompt": 250_000, "completion": 250_000}
    asked(run, "m/a", m=answered(9, tokens), judge=answered(9, judged))
    costs = Costs(run, PLAN)
    assert costs.of(PLAN[0]) == Money(pytest.approx(1.2 + 0.2 + 0.8 + 0.5), "EUR")
    assert costs.of(PLAN[1]) == Money(0.0, "EUR"), "nothing was asked"
    assert costs.of(PLAN[2]) is None, "its model has no price"
    assert costs.of_model("m") == costs.total() == Money(pytest.approx(2.7), "EUR")


def test_answers_that_another_run_paid_cost_nothing(tmp_path: Path) -> None:
    run = started(tmp_path, m=PRICES)
    tokens = {"prompt": 1_000_000, "completion": 100_000}
    free = {"answers": 8, "uncounted": 0, "tokens": {"prompt": 900_000, "completion": 100_000}}
    asked(run, "m/a", m=answered(9, tokens) | {"free": free})
    asked(run, "m/b", m=answered(9, {}, 9) | {"free": {"answers": 9, "uncounted": 9}})
    costs = Costs(run, PLAN)
    assert costs.of(PLAN[0]) == Money(pytest.approx(0.2), "EUR")
    assert costs.of(PLAN[1]) == Money(0.0, "EUR"), "all were replayed"


@pytest.mark.parametrize(
    ("counts", "price", "cost", "text"),
    [
        (answered(4, {}, 4), PRICES, None, "unknown"),
        (answered(4, {"prompt": 1_000_000}, 1), PRICES, 2.0, "at least 2.00 EUR"),
        (answered(0, {}), PRICES, 0.0, "0.00 EUR"),
        (answered(4, {"completion": 500_000}), {"output": 3.0}, 1.5, "1.50 USD"),
    ],
)
def test_what_no_answer_counts_stays_unknown(
    tmp_path: Path, counts: Any, price: Mapping[str, Any], cost: float | None, text: str
) -> None:
    run = started(tmp_path, m=price)
    asked(run, "m/a", m=counts)
    found = Costs(run, PLAN[:1]).of(PLAN[0])
    assert found is not None
    assert (found.value, str(found)) == (cost, text)
    lacks = counts["uncounted"]
    assert found.note == (f"m/a: {lacks} of 4 answers of m count no tokens" if lacks else "")


def test_prompts_without_a_count_make_a_cost_a_lower_bound(tmp_path: Path) -> None:
    run = started(tmp_path, m=PRICES)
    asked(run, "m/a", m=answered(4, {"completion": 500_000}))
    found = Costs(run, PLAN[:1]).of(PLAN[0])
    assert str(found) == "at least 4.00 EUR"
    assert found is not None
    assert found.note == "m/a: the answers of m count no tokens of prompts"


def test_a_judge_without_a_price_and_requests_without_counts_are_named(tmp_path: Path) -> None:
    run = started(tmp_path, m=PRICES)
    asked(run, "m/a", m=answered(1, {"prompt": 1_000_000}), judge=answered(1, {"prompt": 5}))
    begun = run.evaluation("m/b")
    begun.attempt_log(1).parent.mkdir(parents=True)
    begun.attempt_log(1).write_text("")
    total = Costs(run, PLAN).total()
    assert total is not None
    assert total.value == 2.0
    assert total.note == "judge has no price; m/b: its requests were not counted"


def test_servers_cost_by_the_hour_and_evaluations_have_their_shares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(tmp_path, m={"hour": 3.0})
    run.deployment_plan("m").parent.mkdir(parents=True)
    run.deployment_plan("m").write_text("{}")
    for item in ("m/a", "m/b"):
        asked(run, item, m=answered(2, {"prompt": 10}))
    costs = Costs(run, PLAN)
    hours: dict[str, float | None] = {"m": 2.0}
    monkeypatch.setattr(costs, "gpu_hours", hours.get)
    monkeypatch.setattr(costs, "seconds", lambda model: {"m/a": 30.0, "m/b": 10.0})
    assert (costs.of(PLAN[0]), costs.of(PLAN[1])) == (Money(4.5), Money(1.5))
    assert costs.of_model("m") == Money(6.0)
    hours["m"] = None
    assert costs.of_model("m") == Money(0.0, "USD", "the GPU-hours of m are unknown")


def test_the_table_has_costs_only_with_prices(tmp_path: Path) -> None:
    assert tuple(table(started(tmp_path / "free")).columns) == COLUMNS
    run = started(tmp_path / "paid", m=PRICES)
    asked(run, "m/a", m=answered(1, {"prompt": 1_000_000}))
    asked(run, "m/b", m=answered(2, {"prompt": 500_000}, 1))
    frame = table(run)
    assert tuple(frame.columns) == COLUMNS + COSTS
    rows = records(frame)
    assert [[row[name] for name in COSTS] for row in rows] == [
        [2.0, "EUR", None],
        [1.0, "EUR", "m/b: 1 of 2 answers of m count no tokens"],
        [None, None, None],
    ]
    cells = [readable.cells(row) for row in rows]
    assert [each["cost"] for each in cells] == ["2.00 EUR", "≥ 1.00 EUR", ""]
    assert "| cost" in readable.to_markdown(rows)
    assert readable.columns([{"currency": None, "health": "ok"}]) == [*readable.COLUMNS]


def test_a_damaged_configuration_has_no_prices(tmp_path: Path) -> None:
    run = started(tmp_path, m=PRICES)
    run.config.write_text("prices: [")
    assert not Costs(run, PLAN)
    assert Costs(run, PLAN).total() is None


def test_a_point_of_equal_weights_costs_nothing(tmp_path: Path) -> None:
    run = started(tmp_path, m=PRICES, twin=PRICES)
    asked(run, "m/a", m=answered(9, {"prompt": 1_000_000, "completion": 0}))
    point = Planned("twin", "a", "f", same_as="m")
    costs = Costs(run, (PLAN[0], point))
    assert costs.of(point) is None
    assert costs.total() == costs.of(PLAN[0]) == Money(pytest.approx(2.0), "EUR")
