"""Tests that each error of a configuration is one sentence with file, key and fix.

Long because the tests of one module are in one file, and this module has many cases.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from snakeval.config.load import load
from snakeval.config.yaml_file import read
from snakeval.errors import ConfigError
from snakeval.matrix.expand import expand
from support.configs import MODEL, VALID, changed, config, write

BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)


VLLM = {"kind": "vllm", "hf_model_handle": "org/model"}


def deployed(**spec: Any) -> dict[str, Any]:
    """`VALID` with a deployed model."""
    return changed("models", "m", to={"deployment": spec})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (changed("modles", to={}), "unknown key 'modles'; did you mean 'models'?"),
        (
            changed("benchmarks", "b", "parms", to={}),
            "benchmarks.b: unknown key 'parms'; did you mean 'params'?",
        ),
        (changed("params", "temperature", to="hot"), "params.temperature: input should be a valid"),
        (changed("params", "limit_samples", to=0.1), "params.limit_samples: must be a whole"),
        (changed("params", "limit_samples", to=0), "params.limit_samples: input should be greater"),
        (changed("params", "top_p", to=float("nan")), "params.top_p"),
        (changed("models", to={}), "models: is empty; add at least one of your models"),
        (changed("models", to=...), "'models' is missing; add it"),
        (changed("models", "m", to={}), "models.m: has no endpoint; add endpoint: {url: …"),
        (changed("models", "m", to=None), "models.m: must hold keys and values"),
        (
            changed("models", "m", "endpoint", "url", to="host:8000/v1"),
            "models.m.endpoint.url: is not an http(s) URL without user name and pass",
        ),
        (
            changed("models", "m", "endpoint", "url", to="http://me:secret@host/v1"),
            "models.m.endpoint.url: is not an http(s) URL without user name and pass",
        ),
        (changed("models", "m", "endpoint", "type", to="chatty"), "models.m.endpoint.type"),
        (changed("models", "../x", to=MODEL), "models.../x: '../x' is not a valid name; use"),
        (changed("models", "a/b", to=MODEL), "'a/b' is not a valid name; use"),
        (changed("models", "", to=MODEL), "'' is not a valid name; use"),
        (changed("models", "mоdel", to=MODEL), "'m\\u043edel' is not a valid name; use"),
        (changed("models", "results.csv", to=MODEL), "is the name of a file that snakeval writes;"),
        (changed("models", "M", to=MODEL), "'m' and 'M' differ only in case"),
        (changed("benchmarks", to=["ifeval", "ifeval"]), "ifeval is listed twice"),
        (changed("benchmarks", to={}), "benchmarks: is empty; add at least one"),
        (changed("benchmarks", "b", "per_model", to={"n": {}}), "benchmarks.b.per_model: no model"),
        (changed("benchmarks", "b", "files", to="nowhere"), "benchmarks.b.files: no directory"),
        (
            changed("benchmarks", "b", "mounts", to=[{"source": "/nowhere", "target": "/x"}]),
            "benchmarks.b.mounts: no /nowhere to mount; correct `source`",
        ),
        (
            changed("benchmarks", "b", "metrics", "values", to={"v": "v["}),
            "benchmarks.b.metrics.values.v.value: is not a JMESPath: ",
        ),
        (
            changed("benchmarks", "b", "metrics", "values", to={"v": "[" * 2000}),
            "values.v.value: has too many parts or brackets; shorten it",
        ),
        (
            changed("benchmarks", "b", "metrics", "values", to={"v": "||".join("a" * 2000)}),
            "values.v.value: has too many parts or brackets; shorten it",
        ),
        (changed("benchmarks", "b", "metrics", "file", to="/etc/passwd"), "below the artifacts"),
        (changed("benchmarks", "b", "metrics", "file", to="../f"), "below the artifacts"),
        (changed("benchmarks", "b", "metrics", "file", to=""), "below the artifacts"),
        (changed("benchmarks", "b", "metrics", "values", to={}), "values: is empty; add at least"),
        (changed("benchmarks", "b", "endpoint_types", to=["chta"]), "endpoint_types.0: input shou"),
        (changed("benchmarks", "b", "requirements", to="numpy"), "requirements: must be a list"),
        (changed("benchmarks", "b", "env", to=[{"A": "B"}]), "benchmarks.b.env: must hold keys"),
        (changed("benchmarks", to=[{"a": {}}]), "a list may contain names only; write a mapping N"),
        (changed("benchmarks", to=[None]), "benchmarks.None: is empty; write a name"),
        (changed("models", 7, to=MODEL), "models.7: is not text in YAML, but int; put the name"),
        (changed("models", "a\nb", to=MODEL), r"models.a\nb: 'a\nb' is not a valid name; use"),
        (changed("a\x1b[31m", to=1), r"unknown key 'a\x1b[31m'"),
        (changed("models", "m", "endpoint", "url", to="http://h:99999/v1"), "url: is not an http("),
        (changed("models", "m", "endpoint", "url", to="http://[::1/v1"), "url: is not an http(s)"),
        (changed("params", "extra", to={"a": [float("nan")]}), "extra: must contain finite number"),
        (changed("params", "extra", to={"a": {"b", "c"}}), "params.extra: contains a set, which h"),
        (changed("params", "extra", to={"a": {1: 2}}), "the key 1 is not text; put it in quotes"),
        (changed("params", "limit_samples", to=10**400), "limit_samples: input should be less"),
        (changed("output_dir", to="~nosuchuser/x"), "output_dir: starts with ~ and an unknown use"),
        (changed("output_dir", to=""), "output_dir: is empty; choose another path"),
        (changed("params", "top_p", to=True), "params.top_p: is true or false in YAML"),
        (changed("output_dir", to="a{b}"), "output_dir: cannot contain '{'; choose another path"),
        (changed("include", to=["m"]), "include.0: is not a pair; write model/benchmark"),
        (changed("runtime", to="dokcer"), "runtime: no runtime 'dokcer'; did you mean 'docker'?"),
        ("models:\n\tm: {}\n", "line 2, column 1: a tab is used for indentation; use spaces"),
        ("models: {m: 1\n", "c.yaml, line"),
        ("- a\n", "c.yaml: must hold keys and values, not a list"),
        ("name: a\nname: b\n", "duplicate key 'name' (first in line 1)"),
        (BOMB, "its values, with YAML aliases expanded, are more than 1,000,000"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1: a second document starts here; move it to its ow"),
        ("a: 2026-99-99\n", "line 1, column 4: a value cannot be read (month must be in 1..12)"),
        ('a: "\\ud800"\n', "line 1, column 4: a value cannot be read"),
        ('a: "x\\0"\n', "line 1, column 4: a value cannot be read (a NUL character); correct it"),
        ("a: \0\n", "not valid YAML (unacceptable character #x0000"),
        ("a: !!python/object:os.system x\n", "unknown tag 'tag:yaml.org,2002:python/object:os.sys"),
        ("a: &a [*a]\n", "an alias refers to itself; write the value out"),
        ("name: " + "[" * 2000, "c.yaml"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence_that_names_the_file(
    tmp_path: Path, content: dict[str, Any] | str, sentence: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ConfigError) as refused:
        load([path])
    (line,) = str(refused.value).splitlines()
    assert sentence in line
    assert line.startswith(str(path))


GPUS = "models.m.deployment.gpus: must be a number, or a list of GPUs such as [0, 1] (it is "


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            changed("models", "m", "deployment", to=VLLM),
            "models.m: has both endpoint and deployment; keep one",
        ),
        (changed("models", "m", to={"deployment": None}), "models.m: has no endpoint; add endpoi"),
        (deployed(hf_model_handle="m"), "'kind' is missing in models.m.deployment; add it"),
        (
            deployed(kind="vlm"),
            "models.m.deployment.kind: no deployment kind 'vlm'; did you mean 'vllm'?",
        ),
        (
            deployed(kind="triton"),
            "models.m.deployment.kind: no deployment kind 'triton'; choose one of vllm, sglang, "
            "nim, trtllm, llamacpp, generic",
        ),
        (
            deployed(kind=3),
            "models.m.deployment.kind: input should be 'vllm', 'sglang', 'nim', 'trtllm', "
            "'llamacpp' or 'generic' (it is 3)",
        ),
        (
            deployed(kind="vllm"),
            "models.m.deployment: kind vllm requires weights; add checkpoint_path or "
            "hf_model_handle",
        ),
        (
            deployed(**VLLM, checkpoint_path="/tmp"),
            "models.m.deployment: has both checkpoint_path and hf_model_handle; keep one",
        ),
        (deployed(kind="nim"), "kind nim requires an image, which contains the model; add `image`"),
        (
            deployed(kind="generic"),
            "requires a command or an image; add `command`, `image` or both",
        ),
        (
            deployed(kind="trtllm", hf_model_handle="m", data_parallel_size=2),
            "models.m.deployment: kind trtllm has no data_parallel_size; remove it",
        ),
        (
            deployed(kind="llamacpp", hf_model_handle="m", data_parallel_size=2),
            "models.m.deployment: kind llamacpp has no data_parallel_size; remove it",
        ),
        (
            deployed(
                kind="vllm", hf_model_handle="m", nodes=3, tensor_parallel_size=8, command="c"
            ),
            "3 nodes cannot share the 8 GPUs of its sizes equally; set `gpus`",
        ),
        (
            deployed(kind="vllm", hf_model_handle="m", nodes=2, tensor_parallel_size=8),
            "kind vllm has no command for several nodes; set `command`",
        ),
        (
            deployed(kind="llamacpp", hf_model_handle="m", tensor_parallel_size=2),
            "kind llamacpp uses all GPUs that it gets; set `gpus` instead of",
        ),
        (deployed(**VLLM, tensor_parallel=2), "did you mean 'tensor_parallel_size'"),
        (deployed(**VLLM, tensor_parallel_size=0), "tensor_parallel_size: input should be great"),
        (deployed(**VLLM, port=0), "deployment.port: input should be greater than or equal to 1"),
        (deployed(**VLLM, port=70000), "port: input should be less than or equal to 65535 (it is"),
        (deployed(**VLLM, gpus=[1, 1]), "deployment.gpus: lists a GPU twice; list each GPU once"),
        (deployed(**VLLM, gpus=-1), f"{GPUS}-1)"),
        (deployed(**VLLM, gpus=[0, -1]), f"{GPUS}[0, -1])"),
        (deployed(**VLLM, gpus=True), f"{GPUS}True)"),
        (deployed(**VLLM, gpus=[True]), f"{GPUS}[True])"),
        (deployed(**VLLM, gpus=[]), f"{GPUS}[])"),
        (deployed(**VLLM, gpus="0,1"), f"{GPUS}'0,1')"),
        (
            deployed(kind="vllm", checkpoint_path="/nowhere"),
            "models.m.deployment.checkpoint_path: no /nowhere; correct the path",
        ),
        (
            deployed(**VLLM, mounts=[{"source": "/nowhere", "target": "/x"}]),
            "models.m.deployment.mounts: no /nowhere to mount; correct `source`",
        ),
        (
            deployed(kind="vllm", hf_model_handle="https://huggingface.co/org/model"),
            "hf_model_handle: is not a handle of a hub; write org/model (it is 'https://huggingf",
        ),
        (
            deployed(kind="vllm", hf_model_handle="--help"),
            "is not a handle of a hub; write org/model",
        ),
        (deployed(**VLLM, extra_args="it's"), "is not valid shell text: no closing quotation"),
        (deployed(**VLLM, served_model_name=""), "served_model_name: string should have at least"),
        (deployed(**VLLM, endpoints={"chat": "chat"}), "endpoints.chat: string should match"),
        (deployed(**VLLM, endpoints={"caht": "/c"}), "unknown key 'caht'; did you mean 'chat'?"),
        (
            deployed(**VLLM, set_env={"A B": "x"}),
            "set_env.A B: is not the name of an environment var",
        ),
        (deployed(**VLLM, set_env={"A": True}), "set_env.A: input should be a valid string (it"),
        (deployed(**VLLM, max_restarts=-1), "max_restarts: input should be greater than or equal"),
        (
            deployed(**VLLM, runtime="charliecloud"),
            "runtime: no runtime 'charliecloud'; choose one of auto, docker, podman, apptainer, "
            "pyxis, process",
        ),
        (
            changed("benchmarks", "b", "auxiliary", to=["juge"]) | {"auxiliary": {"judge": MODEL}},
            "benchmarks.b.auxiliary: no 'juge' in `auxiliary`; did you mean 'judge'?",
        ),
        (
            changed("benchmarks", "b", "auxiliary", to=["judge"]),
            "benchmarks.b.auxiliary: no 'judge' in `auxiliary`; add it there",
        ),
        (
            changed("models", "judge", to=MODEL) | {"auxiliary": {"judge": MODEL}},
            "auxiliary: 'judge' is also the name of a model; rename one",
        ),
        (VALID | {"auxiliary": {"M": MODEL}}, "'m' and 'M' differ only in case"),
        (VALID | {"auxiliary": {"j": {}}}, "auxiliary.j: has no endpoint; add endpoint: {url"),
        (
            VALID | {"auxiliary": {"4o": MODEL}},
            "auxiliary: '4o' sets 4O_URL, which is not a valid name of a variable; rename it",
        ),
        (
            VALID | {"auxiliary": {"a.b": MODEL, "a-b": MODEL}},
            "auxiliary: 'a-b' sets A_B_URL, which is also the variable of 'a.b'; rename it",
        ),
        (VALID | {"lease": {"stale": 14}}, "lease: stale must be at least three times heartbeat"),
        (VALID | {"lease": {"heartbeat": 0}}, "lease.heartbeat: input should be greater than or"),
        (
            changed("models", "deployment", to=MODEL),
            "'deployment' is the name of a file that snakeval",
        ),
        (
            changed("benchmarks", "deployment", to={}),
            "'deployment' is the name of a file that snakeval",
        ),
    ],
)
def test_an_invalid_deployment_is_one_sentence_that_names_the_key(
    tmp_path: Path, content: dict[str, Any], sentence: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ConfigError) as refused:
        load([path])
    (line,) = str(refused.value).splitlines()
    assert sentence in line
    assert line.startswith(str(path))


def test_a_file_that_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path, "name: \xe9".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"byte 6 is not UTF-8; save the file as UTF-8"):
        load([path])


def test_a_missing_file_and_a_directory_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such file; check the path"):
        load([tmp_path / "nowhere.yaml"])
    with pytest.raises(ConfigError, match="is a directory; choose a YAML file in it"):
        load([tmp_path])


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(ConfigError, match="is a pipe; choose a YAML file"):
        load([tmp_path / "pipe.yaml"])


def test_a_pipe_of_the_shell_is_read() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"models: {}\nbenchmarks: {}\nname: piped\n")
    os.close(writing)
    try:
        assert read(Path(f"/dev/fd/{reading}"))["name"] == "piped"
    finally:
        os.close(reading)


def test_each_problem_has_its_own_line(tmp_path: Path) -> None:
    content = VALID | {"models": {"m": {}}, "runtime": "dokcer"}
    with pytest.raises(ConfigError) as refused:
        config(tmp_path, content)
    first, second = str(refused.value).splitlines()
    assert "models.m: has no endpoint" in first
    assert "runtime" in second


SECRET = "sk-abc123-very-secret"


@pytest.mark.parametrize(
    "content",
    [
        changed("models", "m", "endpoint", "api_key_name", to=SECRET),
        changed("benchmarks", "b", "env", to=[SECRET]),
        changed("benchmarks", "b", "env", to={SECRET: "TOKEN"}),
        deployed(**VLLM, env=["HF_TOKEN", f"HF_TOKEN={SECRET}"]),
        deployed(**VLLM, env={"HF_TOKEN": SECRET}),
    ],
)
def test_an_error_hides_a_key_pasted_instead_of_its_name(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as refused:
        config(tmp_path, content)
    (line,) = str(refused.value).splitlines()
    assert line.endswith("write the variable's name, never its value")
    assert SECRET not in line


def test_an_error_names_the_file_that_set_the_value(tmp_path: Path) -> None:
    first = write(tmp_path, VALID, "first.yaml")
    second = write(tmp_path, {"params": {"top_p": 7}}, "second.yaml")
    with pytest.raises(ConfigError, match=r"second\.yaml: params\.top_p: .*less than or equal"):
        load([first, second])
    with pytest.raises(ConfigError, match=r"--config: params\.top_p"):
        load([first], {"params": {"top_p": 7}})


def test_later_files_merge_key_by_key_into_earlier_ones(tmp_path: Path) -> None:
    first = write(tmp_path, VALID | {"params": {"top_p": 0.5, "parallelism": 2}}, "a.yaml")
    second = write(tmp_path, {"params": {"top_p": 0.7}, "models": {"n": MODEL}}, "b.yaml")
    merged, _, _ = load([first, second], {"name": "x"})
    assert (merged.params.top_p, merged.params.parallelism) == (0.7, 2)
    assert list(merged.models) == ["m", "n"]
    assert merged.name == "x"


def test_relative_paths_start_at_their_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub" / "tasks").mkdir(parents=True)
    path = write(tmp_path / "sub", changed("benchmarks", "b", "files", to="tasks"))
    monkeypatch.chdir("/")
    assert load([path])[0].benchmarks["b"].files == str(tmp_path / "sub" / "tasks")

    mounts = [{"source": "tasks", "target": "/tasks"}]
    spec = {"kind": "vllm", "checkpoint_path": "tasks", "mounts": mounts}
    path = write(tmp_path / "sub", deployed(**spec))
    made = load([path])[0].models["m"].deployment
    assert made is not None
    assert made.checkpoint_path == made.mounts[0].source == str(tmp_path / "sub" / "tasks")


def test_a_plain_list_of_catalogue_tasks_is_enough(tmp_path: Path) -> None:
    content = {"models": {"m": MODEL}, "benchmarks": ["lm-eval.ifeval", "gpqa_diamond_nemo"]}
    assert list(config(tmp_path, content).benchmarks) == ["lm-eval.ifeval", "gpqa_diamond_nemo"]


@pytest.mark.parametrize(
    ("url", "kind", "route"),
    [
        ("http://h/v1", "chat", "http://h/v1/chat/completions"),
        ("http://h/v1/", "completions", "http://h/v1/completions"),
        ("http://h/v1/embeddings", "embedding", "http://h/v1/embeddings"),
        ("http://h/v1?version=2", "vlm", "http://h/v1/chat/completions?version=2"),
    ],
)
def test_the_route_follows_from_the_endpoint_type(
    tmp_path: Path, url: str, kind: str, route: str
) -> None:
    endpoint = {"url": url, "model_id": "m", "type": kind}
    loaded = config(tmp_path, changed("models", "m", "endpoint", to=endpoint)).models["m"].endpoint
    assert loaded is not None
    assert loaded.route_url == route


def test_config_values_select_models_benchmarks_and_a_run(tmp_path: Path) -> None:
    path = write(tmp_path, changed("models", "n", to=MODEL))
    _, chosen, _ = load([path], {"models": "n", "benchmarks": "b", "run": 12345678})
    assert (chosen.models, chosen.benchmarks, chosen.run) == (("n",), ("b",), "12345678")
    with pytest.raises(ConfigError, match="--config models: no 'o' in the configuration"):
        load([path], {"models": "n,o"})


def test_the_committed_demo_is_valid() -> None:
    demo = Path(__file__).parents[3] / "config" / "config.yaml"
    assert len(expand(load([demo])[0])) == 6
