"""A series in the configuration: its pattern, its choice of steps, and the names that it makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from snakeval.config.checkpoints import Checkpoints, Member, number, wildcards
from snakeval.config.config import Config
from snakeval.config.load import check
from snakeval.config.source import Source
from snakeval.errors import ConfigError
from support.configs import COMMAND

SERVED = {"kind": "generic", "command": "serve"}


def checked(model: dict[str, Any], name: str = "run7", **rest: Any) -> Config:
    return check(Source({"models": {name: model}, "benchmarks": {"b": COMMAND}, **rest}))


def problem(model: dict[str, Any], name: str = "run7", **rest: Any) -> str:
    with pytest.raises(ConfigError) as error:
        checked(model, name, **rest)
    return str(error.value).removeprefix("--config: ")


def of_series(**keys: Any) -> dict[str, Any]:
    return {"deployment": SERVED, "checkpoints": {"pattern": "/train/step-{step}", **keys}}


def test_a_series_needs_no_weights_and_its_path_starts_at_the_file(tmp_path: Path) -> None:
    model = {"deployment": {"kind": "vllm"}, "checkpoints": {"pattern": "run/step-{step}/"}}
    source = Source({"models": {"run7": model}, "benchmarks": {"b": COMMAND}})
    source.bases[("models",)] = tmp_path
    series = check(source).models["run7"].checkpoints
    assert series is not None
    assert series.pattern == f"{tmp_path}/run/step-{{step}}"
    assert (series.ready, series.order) == ("auto", "newest")


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("/train/final", "has no wildcard; write {step}"),
        ("/train/*/step-{step}", "has *, which is no wildcard here; write {step}"),
        ("/train/{lr}{step}", "has two wildcards without a text between them; add one"),
        ("/train/step-{step", "has a brace outside of a wildcard; write a wildcard as {step}"),
        ("/train/step-{st ep}", "has a brace outside of a wildcard"),
        ("/train/step-{}", "has a brace outside of a wildcard"),
        ("/train/\n{step}", "cannot contain '\\n'"),
        (f"/train/{'x' * 256}{{step}}", "has a part of 262 bytes"),
        (7, "input should be a valid string (it is 7)"),
    ],
)
def test_what_is_no_pattern(pattern: object, why: str) -> None:
    found = problem(of_series(pattern=pattern))
    assert found.startswith(f"models.run7.checkpoints.pattern: {why}")


@pytest.mark.parametrize("ready", ["", "/done", "../done", "a//b", "done/"])
def test_a_marker_is_a_file_in_the_directory_of_its_checkpoint(ready: str) -> None:
    assert "write auto, or a file's path in its directory" in problem(of_series(ready=ready))


def test_problems_of_both_parts_are_reported_at_once() -> None:
    model = of_series(evry=3) | {"deployment": {"kind": "vllmx"}}
    lines = problem(model).splitlines()
    assert len(lines) == 2
    assert "models.run7.deployment.kind: no deployment kind 'vllmx'" in lines[0]
    assert "models.run7.checkpoints: unknown key 'evry'; did you mean 'every'?" in lines[1]


def test_the_weights_and_the_model_id_come_from_the_pattern_alone() -> None:
    twice = of_series() | {"deployment": {"kind": "vllm", "adapter_path": "/adapter"}}
    assert problem(twice).startswith("models.run7.deployment: has adapter_path, which comes from")
    endpoint = {"url": "http://host/v1"}
    series = {"pattern": "org/run7-{step}"}
    found = checked({"endpoint": endpoint, "checkpoints": series}).models["run7"]
    assert found.checkpoints is not None
    assert found.checkpoints.pattern == "org/run7-{step}"
    named = {"endpoint": endpoint | {"model_id": "m"}, "checkpoints": series}
    assert problem(named).startswith("models.run7.endpoint.model_id: model_id comes from")
    marked = {"endpoint": endpoint, "checkpoints": series | {"ready": "done"}}
    assert problem(marked).startswith("models.run7: checkpoints.ready is a file")
    assert "models.run7: has no endpoint; add" in problem({"checkpoints": series})


def test_since_and_until_leave_a_step() -> None:
    found = problem(of_series(since=5, until=3))
    assert "since is 5 and until is 3, so no step is left; correct one" in found
    assert "checkpoints.every" in problem(of_series(every=0))


def test_which_steps_a_series_wants() -> None:
    series = Checkpoints(pattern="/t/step-{step}/{kind}", every=100, since=200, until=300)
    steps = ("100", "0200", "250", "300", "400", "final", "3e2")
    assert [series.left_out({"step": step, "kind": "hf"}) for step in steps] == [
        "since is 200",
        "",
        "every is 100",
        "",
        "until is 300",
        "its step final is no number, as every, since and until are",
        "",
    ]
    assert Checkpoints(pattern="/t/{step}").left_out({"step": "final"}) == ""
    every = Checkpoints(pattern="/t/{step}", every=500)
    assert [every.left_out({"step": step}) for step in ("1e9999", "1" + 40 * "0", "1e-9999")] == [
        "",
        "",
        "every is 500",
    ]


def test_the_axis_is_the_step_or_the_last_wildcard() -> None:
    assert Checkpoints(pattern="/t/{step}/{kind}").axis == "step"
    assert Checkpoints(pattern="/t/{lr}/{epoch}").axis == "epoch"
    assert wildcards("/{a}/{b}-{a}") == ("a", "b")


def test_a_number_is_one_that_a_person_writes() -> None:
    texts = ("7", "007", "-1.5", "1e-5", "nan", "inf", "1_000", "", "7 ", "٣", "1e99999")
    assert [text for text in texts if number(text) is not None] == ["7", "007", "-1.5", "1e-5"]


def test_names_have_the_keys_of_several_values() -> None:
    values = {"lr": "1e-5", "step": "200"}
    assert Member(series="r", values=values, axis="step").name == "r@lr-1e-5_step-200"
    assert Member(series="r", values={"step": "0200"}, axis="step").name == "r@0200"


ENDPOINT = {"endpoint": {"url": "http://host/v1", "model_id": "m"}}


def test_only_a_checkpoint_has_an_at_sign_in_its_name() -> None:
    member = {"series": "run7", "values": {"step": "200"}, "axis": "step"}
    model = ENDPOINT | {"member": member}
    assert checked(model, "run7@200").models["run7@200"].member == Member.model_validate(member)
    assert problem(ENDPOINT, "run7@200") == (
        "models: 'run7@200' has '@', which is in names of checkpoints only; rename it, or write a "
        "model 'run7' with `checkpoints`"
    )
    two = {"run7": of_series(), "run7@200": ENDPOINT}
    with pytest.raises(ValidationError, match="remove it, since 'run7' makes a model of each"):
        Config.model_validate({"models": two, "benchmarks": {"b": COMMAND}})
    assert "is of the model 'run7@200'; remove `member`" in problem(model, "run7@300")
    for name in ("run7@", "@200", "run7@a@b", "run7@a b", f"r@{'9' * 64}"):
        assert "is not a valid name" in problem(ENDPOINT, name)
    both = of_series() | {"member": member}
    assert "has both checkpoints and member" in problem(both)


def test_an_auxiliary_model_is_no_series_and_no_benchmark_is_named_like_a_checkpoint() -> None:
    judge = {"judge": of_series()}
    assert "auxiliary.judge: an auxiliary model is one model; remove checkpoints" in problem(
        ENDPOINT, "m", auxiliary=judge
    )
    assert "is not a valid name" in problem(ENDPOINT, "m", benchmarks={"b@1": COMMAND})


def test_a_benchmark_may_have_parameters_of_a_series_or_of_one_checkpoint() -> None:
    for name in ("run7", "run7@200"):
        own = COMMAND | {"per_model": {name: {"temperature": 0}}}
        assert name in checked(of_series(), benchmarks={"b": own}).benchmarks["b"].per_model
    own = COMMAND | {"per_model": {"run8@200": {}}}
    assert "no model 'run8@200'" in problem(of_series(), benchmarks={"b": own})
