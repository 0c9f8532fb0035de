"""Bad configurations: one clear sentence each, with the file, the key and the fix."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snakeval.config import load
from snakeval.errors import ConfigError
from snakeval.matrix import expand
from support.configs import MODEL, VALID, changed, config, write

BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{after}: &{after} [{', '.join([f'*{before}'] * 10)}]\n"
    for before, after in zip("abcdefgh", "bcdefghi", strict=True)
)


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
        (changed("models", to={}), "models: is empty; name at least one of your models"),
        (changed("models", to=...), "'models' is missing; add it"),
        (changed("models", "m", to={}), "models.m: has no endpoint; add endpoint: {url: …"),
        (changed("models", "m", to=None), "models.m: must hold keys and values"),
        (
            changed("models", "m", "endpoint", "url", to="host:8000/v1"),
            "models.m.endpoint.url: is no http(s) URL without user name or password",
        ),
        (
            changed("models", "m", "endpoint", "url", to="http://me:secret@host/v1"),
            "models.m.endpoint.url: is no http(s) URL without user name or password",
        ),
        (changed("models", "m", "endpoint", "type", to="chatty"), "models.m.endpoint.type"),
        (changed("models", "../x", to=MODEL), "models.../x: '../x' is no name fit for a path"),
        (changed("models", "a/b", to=MODEL), "'a/b' is no name fit for a path"),
        (changed("models", "", to=MODEL), "'' is no name fit for a path"),
        (changed("models", "mоdel", to=MODEL), "'m\\u043edel' is no name fit for a path"),
        (changed("models", "results.csv", to=MODEL), "is the name of a file of ours; rename it"),
        (changed("models", "M", to=MODEL), "'m' and 'M' differ in case only"),
        (changed("benchmarks", to=["ifeval", "ifeval"]), "ifeval stands here twice"),
        (changed("benchmarks", to={}), "benchmarks: is empty; name at least one"),
        (changed("benchmarks", "b", "per_model", to={"n": {}}), "benchmarks.b.per_model: no model"),
        (changed("benchmarks", "b", "files", to="nowhere"), "benchmarks.b.files: no directory"),
        (
            changed("benchmarks", "b", "mounts", to=[{"source": "/nowhere", "target": "/x"}]),
            "benchmarks.b.mounts: no /nowhere to mount; correct `source`",
        ),
        (
            changed("benchmarks", "b", "metrics", "values", to={"v": "v["}),
            "benchmarks.b.metrics.values.v.value: is no JMESPath: ",
        ),
        (changed("benchmarks", "b", "metrics", "file", to="/etc/passwd"), "below the artifacts"),
        (changed("benchmarks", "b", "metrics", "file", to="../f"), "below the artifacts"),
        (changed("benchmarks", "b", "metrics", "file", to=""), "below the artifacts"),
        (changed("benchmarks", "b", "metrics", "values", to={}), "values: is empty; name at least"),
        (changed("benchmarks", "b", "endpoint_types", to=["chta"]), "endpoint_types.0: input shou"),
        (changed("benchmarks", "b", "requirements", to="numpy"), "requirements: must be a list"),
        (changed("benchmarks", "b", "env", to=[{"A": "B"}]), "benchmarks.b.env: must hold keys"),
        (changed("benchmarks", to=[{"a": {}}]), "a list may hold names only; write a mapping NAME"),
        (changed("benchmarks", to=[None]), "benchmarks.None: is empty; write a name"),
        (changed("models", 7, to=MODEL), "models.7: is no text to YAML, but int; put the name"),
        (changed("models", "a\nb", to=MODEL), r"models.a\nb: 'a\nb' is no name fit for a path"),
        (changed("a\x1b[31m", to=1), r"unknown key 'a\x1b[31m'"),
        (changed("models", "m", "endpoint", "url", to="http://h:99999/v1"), "url: is no http(s)"),
        (changed("models", "m", "endpoint", "url", to="http://[::1/v1"), "url: is no http(s)"),
        (changed("params", "extra", to={"a": [float("nan")]}), "extra: must hold finite numbers"),
        (changed("params", "extra", to={"a": {"b", "c"}}), "params.extra: holds a set, which no"),
        (changed("params", "extra", to={"a": {1: 2}}), "the key 1 is no text; put it in quotes"),
        (changed("params", "limit_samples", to=10**400), "limit_samples: input should be less"),
        (changed("output_dir", to="~nosuchuser/x"), "output_dir: begins with ~ and the name of no"),
        (changed("output_dir", to=""), "output_dir: is empty; name another path"),
        (changed("params", "top_p", to=True), "params.top_p: is true or false to YAML"),
        (changed("output_dir", to="a{b}"), "output_dir: cannot hold '{'; name another path"),
        (changed("include", to=["m"]), "include.0: is no pair; write model/benchmark"),
        (changed("runtime", to="dokcer"), "runtime: input should be 'auto', 'docker'"),
        ("models:\n\tm: {}\n", "line 2: a tab is used for indentation; use spaces"),
        ("models: {m: 1\n", "c.yaml, line"),
        ("- a\n", "holds a list; it must hold keys and values"),
        ("name: a\nname: b\n", "'name' stands here a second time (first in line 1)"),
        (BOMB, "its YAML aliases expand to more than 1,000,000 values"),
        ("a: 1\n---\nb: 2\n", "line 2: a second document begins; put it in a file of its own"),
        ("a: 2026-99-99\n", "line 1: a value cannot be read (month must be in 1..12)"),
        ('a: "\\ud800"\n', "line 1: a value cannot be read"),
        ('a: "x\\0"\n', "line 1: a value cannot be read (a NUL character); correct it"),
        ("a: \0\n", "not valid YAML (unacceptable character #x0000"),
        ("a: !!python/object:os.system x\n", "'tag:yaml.org,2002:python/object:os.system' is not"),
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


def test_bytes_that_are_not_utf_8_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "name: \xe9".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"byte 6 is not UTF-8; save the file as UTF-8"):
        load([path])


def test_a_file_that_is_absent_or_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: no such file; check the path"):
        load([tmp_path / "nowhere.yaml"])
    with pytest.raises(ConfigError, match="is a directory; name a YAML file in it"):
        load([tmp_path])


def test_each_thing_that_is_wrong_has_its_own_line(tmp_path: Path) -> None:
    content = VALID | {"models": {"m": {}}, "runtime": "dokcer"}
    with pytest.raises(ConfigError) as refused:
        config(tmp_path, content)
    first, second = str(refused.value).splitlines()
    assert "models.m: has no endpoint" in first
    assert "runtime" in second


def test_a_key_pasted_in_place_of_its_name_is_not_repeated(tmp_path: Path) -> None:
    secret = "sk-abc123-very-secret"
    content = changed("models", "m", "endpoint", "api_key_name", to=secret)
    with pytest.raises(ConfigError) as refused:
        config(tmp_path, content)
    assert "give the variable's name, never its value" in str(refused.value)
    assert secret not in str(refused.value)


def test_an_error_names_the_file_that_set_the_value(tmp_path: Path) -> None:
    first = write(tmp_path, VALID, "first.yaml")
    second = write(tmp_path, {"params": {"top_p": 7}}, "second.yaml")
    with pytest.raises(ConfigError, match=r"second\.yaml: params\.top_p: .*less than or equal"):
        load([first, second])
    with pytest.raises(ConfigError, match=r"--config: params\.top_p"):
        load([first], {"params": {"top_p": 7}})


def test_later_files_are_merged_key_by_key_into_earlier_ones(tmp_path: Path) -> None:
    first = write(tmp_path, VALID | {"params": {"top_p": 0.5, "parallelism": 2}}, "a.yaml")
    second = write(tmp_path, {"params": {"top_p": 0.7}, "models": {"n": MODEL}}, "b.yaml")
    merged, _, _ = load([first, second], {"name": "x"})
    assert (merged.params.top_p, merged.params.parallelism) == (0.7, 2)
    assert list(merged.models) == ["m", "n"]
    assert merged.name == "x"


def test_relative_paths_are_relative_to_the_file_that_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub" / "tasks").mkdir(parents=True)
    path = write(tmp_path / "sub", changed("benchmarks", "b", "files", to="tasks"))
    monkeypatch.chdir("/")
    assert load([path])[0].benchmarks["b"].files == str(tmp_path / "sub" / "tasks")


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
    loaded = config(tmp_path, changed("models", "m", "endpoint", to=endpoint))
    assert loaded.models["m"].endpoint.route_url == route


def test_config_chooses_models_and_benchmarks_and_a_run(tmp_path: Path) -> None:
    path = write(tmp_path, changed("models", "n", to=MODEL))
    _, chosen, _ = load([path], {"models": "n", "benchmarks": "b", "run": 12345678})
    assert (chosen.models, chosen.benchmarks, chosen.run) == (("n",), ("b",), "12345678")
    with pytest.raises(ConfigError, match="--config models: no 'o' in the configuration"):
        load([path], {"models": "n,o"})


def test_the_committed_demo_is_valid() -> None:
    demo = Path(__file__).parents[2] / "config" / "config.yaml"
    assert len(expand(load([demo])[0])) == 6
