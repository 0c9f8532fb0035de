"""Tests the adapter of generic commands."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snakeval.errors import ConfigError, EvaluationError
from snakeval.evaluation.definition import Evaluation
from snakeval.harnesses import generic
from snakeval.harnesses.adapter import Paths, Sample
from snakeval.harnesses.reading import read_metrics
from snakeval.matrix.expand import expand
from support.configs import config


def evaluation(tmp_path: Path, endpoint: dict[str, Any] | None = None, **row: Any) -> Evaluation:
    model = {"endpoint": {"url": "http://host/v1", "model_id": "m"} | (endpoint or {})}
    default = {
        "harness": "generic", "command": "true",
        "metrics": {"file": "out.json", "values": {"v": "v"}},
    }  # fmt: skip
    return expand(config(tmp_path, {"models": {"m": model}, "benchmarks": {"b": default | row}}))[0]


def test_the_shell_executes_no_value(tmp_path: Path) -> None:
    nasty = 'a\'; touch executed; $(touch executed) `touch executed` "b"\nc'
    made = evaluation(tmp_path, {"model_id": nasty}, command="printf %s {{ model_id }}")
    argv = generic.command(made, Paths("/r", "/i", "http://host/v1/chat/completions")).argv
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == nasty
    assert not (tmp_path / "executed").exists()


def test_the_template_knows_the_endpoint_and_the_parameters(tmp_path: Path) -> None:
    made = evaluation(
        tmp_path,
        {"api_key_name": "MY_KEY"},
        command="{{ url }} {{ base_url }} {{ results }} {{ params.extra.n }}"
        " {{ params.parallelism }} {{ api_key_name }} {{ '--a --b' | raw }}",
        params={"extra": {"n": 3}},
    )
    command = generic.command(made, Paths("/r", "/i", "http://host/v1/chat/completions"))
    assert command.argv[2].removeprefix("exec ") == (
        "http://host/v1/chat/completions http://host/v1 /r 3 4 API_KEY --a --b"
    )
    assert command.secrets == {"API_KEY": "MY_KEY"}


@pytest.mark.parametrize(
    ("command", "endpoint", "nothing"),
    [
        ("echo {{ model_id }} > {{ results }}/f", {}, True),
        ("curl {{ url }}", {}, False),
        ("curl {{ base_url | raw }}/models", {}, False),
        ("{% for name in auxiliary %}curl{% endfor %}", {}, False),
        ("curl https://host/v1", {"api_key_name": "MY_KEY"}, False),
    ],
)
def test_a_command_without_url_and_key_asks_nothing(
    tmp_path: Path, command: str, endpoint: dict[str, Any], nothing: bool
) -> None:
    assert generic.asks_nothing(evaluation(tmp_path, endpoint, command=command)) == nothing


@pytest.mark.parametrize(
    "template", ["{{ modelid }}", "{{ params.extra.absent }}", "{{ ", "{% if %}", "{{ 1 / 0 }}"]
)
def test_an_invalid_template_is_an_error_before_the_run(tmp_path: Path, template: str) -> None:
    with pytest.raises(ConfigError, match=r"^benchmarks\.b: `command` is not a valid template"):
        evaluation(tmp_path, command=template)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("out.json", '{"score": {"mean": 0.5, "se": 0.1}, "runs": [1, 2, 3]}'),
        ("out.yaml", "score: {mean: 0.5, se: 0.1}\nruns: [1, 2, 3]\n"),
    ],
)
def test_jmespath_finds_metrics(tmp_path: Path, name: str, text: str) -> None:
    where = {"value": "score.mean", "stderr": "score.se", "n": "length(runs)"}
    made = evaluation(tmp_path, metrics={"file": "*/out.*", "values": {"mean": where}})
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / name).write_text(text)
    (metric,) = read_metrics(made, tmp_path)
    assert (metric.metric, metric.value, metric.stderr, metric.n) == ("mean", 0.5, 0.1, 3)


def test_a_table_is_a_list_of_rows(tmp_path: Path) -> None:
    values = {"acc": "[?split=='test'].acc | [0]"}
    made = evaluation(tmp_path, metrics={"file": "out.csv", "values": values})
    (tmp_path / "out.csv").write_text("split,acc\ntrain,0.9\ntest,0.5\n")
    assert read_metrics(made, tmp_path)[0].value == 0.5


@pytest.mark.parametrize(
    ("text", "where", "reason"),
    [
        ("{}", "v", "out.json has nothing at 'v'; correct metrics.values.v"),
        ('{"v": true}', "v", "v (v) is True, not a number"),
        ('{"v": Infinity}', "v", "v (v) is inf"),
        ('{"v": 1' + "0" * 400 + "}", "v", "v (v) is inf"),
        ('{"v": "50%"}', "v", "v (v) is '50%', not a number"),
        ('{"v": "text"}', "abs(v)", "'abs(v)' is not a JMESPath for out.json: "),
        ("{", "v", "out.json does not parse as json"),
        ("[" * 100_000, "v", "does not parse as json: nested too deeply"),
    ],
)
def test_missing_metrics_are_an_error_with_a_reason(
    tmp_path: Path, text: str, where: str, reason: str
) -> None:
    made = evaluation(tmp_path, metrics={"file": "out.json", "values": {"v": where}})
    (tmp_path / "out.json").write_text(text)
    with pytest.raises(EvaluationError) as refused:
        read_metrics(made, tmp_path)
    assert reason in str(refused.value)


def test_the_newest_file_counts_and_a_directory_does_not(tmp_path: Path) -> None:
    made = evaluation(tmp_path, metrics={"file": "out*", "values": {"v": "v"}})
    for age, name in enumerate(("out2.json", "out1.json")):
        (tmp_path / name).write_text(json.dumps({"v": age}))
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    (tmp_path / "out3.json").mkdir()
    assert read_metrics(made, tmp_path)[0].value == 0


def test_a_command_that_wrote_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match=r"ended without writing out\.json; see its log"):
        read_metrics(evaluation(tmp_path), tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(JSON, st.sampled_from(["v", "@", "v[0]", "length(v)", "sum(@)", "max(v)", "to_number(v)"]))
def test_any_output_of_a_command_gives_a_finite_score_or_a_reason(written: Any, where: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        made = evaluation(Path(name), metrics={"file": "out.json", "values": {"v": where}})
        Path(name, "out.json").write_text(json.dumps(written))
        try:
            found = [metric.value for metric in read_metrics(made, Path(name))]
        except EvaluationError as error:
            found = str(error).splitlines()
        (one,) = found
        assert one if isinstance(one, str) else math.isfinite(one)


def logged(tmp_path: Path, name: str, text: str, **declared: Any) -> list[Sample]:
    samples = {"file": name, "scores": {"v": "v"}} | declared
    metrics = {"file": "out.json", "values": {"v": "v"}, "samples": samples}
    (tmp_path / name).write_text(text)
    return list(generic.samples(evaluation(tmp_path, metrics=metrics), tmp_path))


@pytest.mark.parametrize(
    ("name", "text", "declared"),
    [
        ("s.jsonl", '{"v": 1, "q": "a"}\n\n{"v": false, "q": "b"}\n', {}),
        ("s.csv", "v,q\n1,a\n0,b\n", {}),
        ("s.tsv", "v\tq\n1\ta\n0\tb\n", {}),
        ("s.json", '[{"v": 1, "q": "a"}, {"v": 0, "q": "b"}]', {}),
        ("s.json", '{"all": [{"v": 1, "q": "a"}, {"v": 0, "q": "b"}]}', {"items": "all"}),
        ("s.yaml", "- {v: 1, q: a}\n- {v: 0, q: b}\n", {}),
        ("s.log", '{"v": 1, "q": "a"}\n{"v": 0, "q": "b"}', {"format": "jsonl"}),
    ],
)
def test_samples_may_be_json_lines_json_yaml_or_csv(
    tmp_path: Path, name: str, text: str, declared: dict[str, Any]
) -> None:
    one, two = logged(tmp_path, name, text, question="q", **declared)
    assert (one.id, one.question, one.scores) == ("1", "a", {"v": 1})
    assert (two.id, two.question, two.scores) == ("2", "b", {"v": 0})


def test_jmespath_finds_the_parts_of_a_sample(tmp_path: Path) -> None:
    item = {"at": {"id": 7}, "said": ["x", "y"], "v": "none", "page": {"name": "p"}}
    (found,) = logged(
        tmp_path, "s.jsonl", json.dumps(item), id="at.id", answer="said", group="page.name"
    )
    assert (found.id, found.answer, found.group, found.scores) == ("7", '["x", "y"]', "p", {})


@pytest.mark.parametrize(
    ("name", "text", "declared", "reason"),
    [
        ("s.jsonl", "{", {}, "s.jsonl does not parse as jsonl"),
        ("s.json", "{}", {}, "s.json has no list of samples at '@'"),
        ("s.jsonl", '{"v": "x"}', {"answer": "abs(v)"}, "does not fit sample 1 of s.jsonl"),
    ],
)
def test_invalid_samples_are_an_error_with_a_reason(
    tmp_path: Path, name: str, text: str, declared: dict[str, Any], reason: str
) -> None:
    with pytest.raises(EvaluationError, match=re.escape(reason)):
        logged(tmp_path, name, text, **declared)


def test_without_a_declaration_or_a_file_there_are_no_samples(tmp_path: Path) -> None:
    assert list(generic.samples(evaluation(tmp_path), tmp_path)) == []
    metrics = {
        "file": "out.json",
        "values": {"v": "v"},
        "samples": {"file": "*.jsonl", "scores": {"v": "v"}},
    }
    assert list(generic.samples(evaluation(tmp_path, metrics=metrics), tmp_path)) == []


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("outside", "out.json is a link to no file of the artifacts; "),
        ("device", "out.json is a link to no file of the artifacts; "),
        ("directory", "out.json is a directory; "),
        ("pipe", "out.json is neither a file nor a directory; "),
        ("utf-16", "out.json does not parse as json: 'utf-8' codec can't decode"),
        ("digits", "out.json does not parse as json: a whole number in it has too many digits"),
    ],
)
def test_results_that_are_no_file_of_the_artifacts_are_named(
    tmp_path: Path, kind: str, reason: str
) -> None:
    (tmp_path / "outside.json").write_text('{"a": 1}')
    file = tmp_path / "artifacts" / "out.json"
    file.parent.mkdir()
    targets = {"outside": tmp_path / "outside.json", "device": Path("/dev/zero")}
    if kind in targets:
        file.symlink_to(targets[kind])
    elif kind == "directory":
        file.mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
    else:
        file.write_bytes(
            ('{"a": 1' + "0" * 9999 * (kind == "digits") + "}").encode(
                kind if kind == "utf-16" else "utf-8"
            )
        )
    made = evaluation(tmp_path, metrics={"file": "out.json", "values": {"a": "a"}})
    with pytest.raises(EvaluationError) as refused:
        generic.metrics(made, file.parent)
    assert str(refused.value).startswith(reason)


@pytest.mark.parametrize(
    ("name", "text", "where"), [("out.json", '{"a": 1}', "a"), ("out.csv", "a,b\n1,2\n", "[0].a")]
)
def test_a_byte_order_mark_is_not_part_of_the_results(
    tmp_path: Path, name: str, text: str, where: str
) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    made = evaluation(tmp_path, metrics={"file": name, "values": {"a": where}})
    assert [metric.value for metric in generic.metrics(made, tmp_path)] == [1]
