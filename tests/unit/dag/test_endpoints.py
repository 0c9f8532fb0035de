"""Which endpoints a command asks, how often, and what follows for the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snakeval.config.models import SeriesEndpoint
from snakeval.dag.endpoints import (
    Tokenizers,
    WrongEndpointsError,
    listed,
    models_asked,
    refuse_wrong_endpoints,
    targets,
)
from snakeval.dag.invocation import Invocation
from snakeval.errors import ConfigError
from snakeval.evaluation.definition import Evaluation
from support.configs import COMMAND
from support.invocations import SERVER, invocation
from support.standing import CHAT, LIST, standing

ASKS = COMMAND | {"command": "ask {{ url }}"}
POST = "POST /v1/chat/completions"


def model(url: str, **more: Any) -> dict[str, Any]:
    return {"endpoint": {"url": url, "model_id": "m", **more}}


def opened(directory: Path, models: dict[str, Any], **more: Any) -> Invocation:
    benchmarks = {"b": ASKS, "c": ASKS}
    content = {"runtime": "process", "models": models, "benchmarks": benchmarks}
    return invocation(directory, content | more.pop("content", {}), **more)


def everything(evaluation: Evaluation) -> bool:
    return True


def asked(made: Invocation) -> list[str]:
    return models_asked(made.selected.values(), everything)


def test_an_endpoint_is_asked_once_for_all_models_and_benchmarks(tmp_path: Path) -> None:
    with standing({POST: (200, CHAT)}) as server:
        url = f"{server.url}/v1"
        models = {"m": model(url), "n": model(url), "o": model(url, api_key_name="KEY")}
        made = opened(tmp_path, models)
        names = [target.names for target in targets(made.config, asked(made))]
        assert names == [("models.m", "models.n"), ("models.o",)]
        count = refuse_wrong_endpoints(made, everything, remote=False, environment={"KEY": "k"})
    assert count == 2
    assert server.paths.count(POST) == 2


def test_a_model_whose_key_another_executor_has_is_not_asked(tmp_path: Path) -> None:
    made = opened(tmp_path, {"m": model("http://127.0.0.1:9/v1", api_key_name="KEY")})
    assert refuse_wrong_endpoints(made, everything, remote=True, environment={}) == 0


def test_only_what_is_missing_is_asked(tmp_path: Path) -> None:
    made = opened(tmp_path, {"m": model("http://h/v1"), "n": model("http://i/v1")})
    missing = models_asked(made.selected.values(), lambda evaluation: evaluation.model == "n")
    assert missing == ["n"]
    assert models_asked(made.selected.values(), lambda evaluation: False) == []


def test_a_harness_that_asks_nothing_has_no_endpoint(tmp_path: Path) -> None:
    models = {"m": model("http://h/v1")}
    assert asked(opened(tmp_path, models, content={"benchmarks": {"b": COMMAND}})) == []
    assert asked(opened(tmp_path, models, content={"benchmarks": {"b": ASKS}})) == ["m"]


def test_journals_and_deployed_models_are_not_asked_and_judges_are(tmp_path: Path) -> None:
    content = {
        "auxiliary": {"judge": model("http://j/v1"), "unasked": model("http://k/v1")},
        "benchmarks": {"b": ASKS | {"auxiliary": ["judge"]}},
    }
    models = {"m": model("http://h/v1"), "d": {"deployment": SERVER}}
    made = opened(tmp_path, models, content=content)
    assert asked(made) == ["m", "judge"]
    names = [target.names for target in targets(made.config, ["m", "judge", "d"])]
    assert names == [("models.m",), ("auxiliary.judge",)]
    assert asked(opened(tmp_path, models, content=content, offline=True)) == []


def test_a_wrong_endpoint_stops_the_command_and_a_busy_one_warns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slow = (429, {"error": {"message": "slow down"}})
    with standing({POST: slow}) as busy, standing({}) as wrong:
        models = {"busy": model(f"{busy.url}/v1"), "wrong": model(f"{wrong.url}/v1")}
        made = opened(tmp_path, models)
        with pytest.raises(WrongEndpointsError) as refused:
            refuse_wrong_endpoints(made, everything, remote=False)
        (line,) = str(refused.value).splitlines()
        assert line.startswith("models.wrong.endpoint.url: the endpoint refuses the request (HTTP")
        printed = capsys.readouterr().err
        assert printed.startswith(
            "snakeval: warning: models.busy.endpoint.url: the endpoint limits"
        )
        assert printed.endswith("; the run starts\n")
        assert refuse_wrong_endpoints(made, everything, remote=True) == 2
        assert capsys.readouterr().err.count("compute nodes may see another network") == 2


def test_an_endpoint_lists_the_models_of_a_series() -> None:
    with standing({"GET /v1/models": (200, LIST)}) as server:
        endpoint = SeriesEndpoint(url=f"{server.url}/v1")
        assert listed("run8", endpoint) == ("m", "other")
        assert server.paths == ["GET /v1/models"]


def test_an_endpoint_without_a_list_is_an_error_with_its_key() -> None:
    with standing({"GET /v1/models": (401, {"error": {"message": "no key"}})}) as server:
        endpoint = SeriesEndpoint(url=f"{server.url}/v1")
        with pytest.raises(ConfigError) as error:
            listed("run8", endpoint)
    assert str(error.value).startswith("models.run8.endpoint.api_key_name: ")


INFO, TOKENIZE = "GET /tokenizer_info", "POST /tokenize"


@pytest.mark.parametrize(
    ("answers", "tokenizes"),
    [
        ({INFO: (200, {"eos_token": "</s>"}), TOKENIZE: (200, {"tokens": [1]})}, True),
        ({INFO: (200, {"eos_token": "</s>"}), TOKENIZE: (404, {})}, False),
        ({INFO: (200, {}), TOKENIZE: (200, {"tokens": [1]})}, False),
        ({INFO: (200, "<html>")}, False),
        ({}, False),
        ({INFO: None}, False),
    ],
)
def test_a_completions_endpoint_is_asked_for_its_tokenizer_as_lm_eval_asks(
    tmp_path: Path, answers: dict[str, Any], tokenizes: bool
) -> None:
    with standing(answers) as server:
        models = {"m": model(f"{server.url}/v1", type="completions", api_key_name="KEY")}
        made = opened(tmp_path, models)
        tokenizers = Tokenizers(made.config, 5, {"KEY": "k"})
        for evaluation in made.selected.values():
            assert tokenizers.answers(evaluation) is tokenizes
        assert server.paths.count(INFO) == 1, "once for both benchmarks"
        assert not any("Authorization" in headers for _, headers, _ in server.asked)


def test_no_endpoint_is_asked_for_its_tokenizer_after_the_deadline(tmp_path: Path) -> None:
    with standing({}) as server:
        made = opened(tmp_path, {"m": model(f"{server.url}/v1", type="completions")})
        times = iter([0.0, 5.0])
        tokenizers = Tokenizers(made.config, 5, {}, lambda: next(times))
        assert not any(tokenizers.answers(each) for each in made.selected.values())
        assert server.asked == []
