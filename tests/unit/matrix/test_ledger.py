"""How the gateway of an evaluation works, as a configuration says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snakeval.errors import ConfigError
from snakeval.matrix.expand import expand
from support.configs import COMMAND, MODEL, config


def transport(directory: Path, **content: Any) -> Any:
    rows: dict[str, Any] = {"models": {"m": MODEL}, "benchmarks": {"b": COMMAND}}
    return expand(config(directory, rows | content))[0].transport


@pytest.mark.parametrize(
    ("run", "model", "benchmark", "expected"),
    [
        (None, None, None, "on"),
        ("off", None, None, "off"),
        ("off", "on", None, "on"),
        ("on", "memory", "on", "memory"),
        ("memory", "memory", "off", "off"),
    ],
)
def test_the_stricter_of_model_and_benchmark_counts_before_the_run(
    tmp_path: Path, run: str | None, model: str | None, benchmark: str | None, expected: str
) -> None:
    found = transport(
        tmp_path,
        **({"ledger": run} if run else {}),
        models={"m": MODEL | ({"ledger": model} if model else {})},
        benchmarks={"b": COMMAND | ({"ledger": benchmark} if benchmark else {})},
    )
    assert found.ledger == expected


def test_a_judge_that_must_not_be_stored_also_counts(tmp_path: Path) -> None:
    judge = {"endpoint": {"url": "http://judge/v1", "model_id": "j"}, "ledger": "memory"}
    found = transport(
        tmp_path, auxiliary={"judge": judge}, benchmarks={"b": COMMAND | {"auxiliary": ["judge"]}}
    )
    assert found.ledger == "memory"


def test_an_adaptive_evaluation_knows_its_rivals_at_the_endpoint(tmp_path: Path) -> None:
    other = {"endpoint": {"url": "http://other/v1", "model_id": "m"}}
    same = {"endpoint": {"url": "http://host/v1", "model_id": "n"}}
    rows = {
        "models": {"m": MODEL, "n": same, "o": other},
        "benchmarks": {"a": COMMAND, "b": COMMAND},
        "params": {"parallelism": "auto"},
    }
    found = {e.id: e.transport for e in expand(config(tmp_path, rows))}
    assert (found["m/a"].rivals, found["n/b"].rivals, found["o/a"].rivals) == (4, 4, 2)
    assert found["m/a"].is_adaptive
    assert found["m/a"].parallelism == 4, "without a gateway"


def test_limits_belong_to_the_endpoint_that_states_them(tmp_path: Path) -> None:
    judge = {
        "endpoint": {"url": "http://j/v1", "model_id": "j", "limits": {"requests_per_minute": 60}}
    }
    found = transport(
        tmp_path, auxiliary={"judge": judge}, benchmarks={"b": COMMAND | {"auxiliary": ["judge"]}}
    )
    assert found.limits == {"judge": {"requests_per_minute": 60.0}}


def test_prices_and_the_budget_are_no_part_of_the_fingerprint(tmp_path: Path) -> None:
    judge = {"endpoint": {"url": "http://judge/v1", "model_id": "j"}, "prices": {"input": 3}}
    rows: dict[str, Any] = {
        "models": {"m": MODEL},
        "auxiliary": {"judge": judge, "other": MODEL | {"prices": {"output": 1}}},
        "benchmarks": {"b": COMMAND | {"auxiliary": ["judge"]}},
    }
    (free,) = expand(config(tmp_path, rows))
    rows["models"] = {"m": MODEL | {"prices": {"input": 1, "cached": 0}}}
    (paid,) = expand(config(tmp_path, rows | {"budget": {"tokens": 7, "wall": 2}}))
    assert paid.fingerprint == free.fingerprint
    assert paid.transport.budget == {"tokens": 7, "wall": 120}
    assert paid.transport.prices == {
        "m": {"input": 1, "cached": 0, "currency": "USD"},
        "judge": {"input": 3, "currency": "USD"},
    }
    assert free.transport.budget == {}


SOCKET = "http+unix://%2Frun%2Fserver.sock/v1"


def test_a_unix_socket_is_an_endpoint_that_requires_a_gateway(tmp_path: Path) -> None:
    models = {"m": {"endpoint": {"url": SOCKET, "model_id": "m"}}}
    rows = {"models": models, "benchmarks": {"b": COMMAND}}
    (found,) = expand(config(tmp_path, rows))
    assert found.identity.endpoint_url == f"{SOCKET}/chat/completions"
    with pytest.raises(ConfigError, match=r"models\.m\.endpoint\.url: names a Unix socket"):
        expand(config(tmp_path, {**rows, "ledger": "off"}))


@pytest.mark.parametrize("url", ["http+unix:///run/x/v1", "http+unix://run/v1", "unix://%2Fx"])
def test_a_socket_in_another_form_is_an_error_that_says_the_form(tmp_path: Path, url: str) -> None:
    models = {"m": {"endpoint": {"url": url, "model_id": "m"}}}
    with pytest.raises(ConfigError, match=r"http\+unix://%2Fpath%2Fof%2Fsocket/v1"):
        config(tmp_path, {"models": models, "benchmarks": {"b": COMMAND}})
