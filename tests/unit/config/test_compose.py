"""Tests Hydra's groups, interpolation and overrides, and the errors of each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from snakeval.config.compose import compose, save, text
from snakeval.config.load import check, load
from snakeval.errors import ConfigError
from snakeval.matrix.expand import expand
from snakeval.run.find import identity
from support.configs import COMMAND, VALID, changed, config, write
from support.workspace import REPOSITORY

PLAIN = """\
name: plain
params: {limit_samples: 3}
models:
  llama-3.1: &llama
    endpoint: {url: http://host/v1, model_id: m}
  other: *llama
benchmarks:
  home: {harness: generic, command: 'echo ${HOME}', metrics: {file: f, values: {v: v}}}
"""
COMPOSED = """\
defaults: [models: llama, _self_]
base: http://host
models:
  llama: {endpoint: {url: '${base}/v1'}}
tasks: [{name: lm-eval.ifeval}, {name: gsm8k}]
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "models").mkdir()
    write(tmp_path, PLAIN, "plain.yaml")
    write(tmp_path, COMPOSED, "composed.yaml")
    write(tmp_path, "llama: {endpoint: {model_id: m}}", "models/llama.yaml")
    write(tmp_path, "qwen: {endpoint: {model_id: q}}", "models/qwen.yaml")
    monkeypatch.chdir(tmp_path)
    return Path()


def data(place: Path, name: str, *overrides: str) -> dict[str, Any]:
    return compose(place, name, overrides).data


# --- files --------------------------------------------------------------------------------


def test_a_plain_file_loads_as_in_snakemake_and_keeps_interpolations(place: Path) -> None:
    assert data(place, "plain") == load([Path("plain.yaml")])[2].data
    assert data(place, "plain")["benchmarks"]["home"]["command"] == "echo ${HOME}"


def test_a_defaults_list_loads_groups_next_to_the_file_and_resolves_interpolations(
    place: Path,
) -> None:
    found = data(place, "composed")
    assert found["models"] == {"llama": {"endpoint": {"model_id": "m", "url": "http://host/v1"}}}
    assert "defaults" not in found


def test_an_override_chooses_another_file_of_a_group(place: Path) -> None:
    assert "qwen" in data(place, "composed", "models=qwen")["models"]


def test_snakeval_provides_the_launchers_groups(place: Path) -> None:
    write(place, "defaults: [execution: local, deployment: vllm, _self_]", "l.yaml")
    found = data(place, "l", "deployment=none", "execution.output_dir=out")
    assert found["deployment"] == {"type": "none"}
    assert (found["execution"]["type"], found["execution"]["output_dir"]) == ("local", "out")


@pytest.mark.parametrize("name", ["plain", "plain.yaml"])
def test_a_name_may_end_in_yaml(place: Path, name: str) -> None:
    assert data(place, name)["name"] == "plain"


def test_an_error_names_the_file_that_set_the_key(place: Path) -> None:
    write(place, "llama: {endpoint: {model_id: [1]}}", "models/llama.yaml")
    source = compose(place, "composed", ["models.llama.endpoint.url=x"])
    assert source.origin(["models", "llama", "endpoint", "model_id"]) == "models/llama.yaml"
    assert source.origin(["base"]) == "composed.yaml"
    assert source.origin(["models", "llama", "endpoint", "url"]) == "-o"


def test_relative_paths_of_overrides_start_at_the_working_directory(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "there" / "files").mkdir(parents=True)
    (place / "here" / "files").mkdir(parents=True)
    content = changed("benchmarks", "b", "files", to="files")
    write(place, content, "there/c.yaml")
    monkeypatch.chdir("here")
    there = Path("../there")
    for overrides, expected in ((), there), (["benchmarks.b.files=files"], Path()):
        config = check(compose(there, "c", overrides))
        assert config.benchmarks["b"].files == str((expected / "files").resolve())


# --- overrides ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["plain", "composed"])
@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("models.{0}.endpoint.url=http://b", "models.{0}.endpoint.url", "http://b"),
        ("+params.top_p=0.5", "params.top_p", 0.5),
        ("++name=x", "name", "x"),
        ("+models.{0}.endpoint={{type: chat}}", "models.{0}.endpoint.type", "chat"),
        ("+benchmarks.b.task='a, b'", "benchmarks.b.task", "a, b"),
        ("+exclude=[a/b,c/d]", "exclude", ["a/b", "c/d"]),
        ("+name2=null", "name2", None),
    ],
)
def test_an_override_sets_its_key(
    place: Path, name: str, override: str, key: str, value: object
) -> None:
    model = {"plain": "llama-3.1", "composed": "llama"}[name]
    found: Any = data(place, name, override.format(model))
    for part in key.replace(".{0}.", "/{0}/").replace(".", "/").format(model).split("/"):
        found = found[part] if part else found
    assert found == value


def test_a_tilde_removes_a_key(place: Path) -> None:
    assert "params" not in data(place, "plain", "~params")
    assert list(data(place, "plain", "~models.llama-3.1")["models"]) == ["other"]


def test_an_override_finds_an_item_of_a_list_by_number_or_name(place: Path) -> None:
    overrides = ["tasks.1.name=gpqa", "+tasks.ifeval.n=1", "+tasks.lm-eval.ifeval.m=2"]
    found = data(place, "composed", *overrides)["tasks"]
    assert found == [{"name": "lm-eval.ifeval", "n": 1, "m": 2}, {"name": "gpqa"}]


def test_an_override_changes_only_one_of_several_aliases(place: Path) -> None:
    models = data(place, "plain", "models.other.endpoint.model_id=x")["models"]
    assert models["llama-3.1"]["endpoint"]["model_id"] == "m"
    assert models["other"]["endpoint"]["model_id"] == "x"


def test_only_a_composed_file_resolves_an_interpolation_of_an_override(place: Path) -> None:
    assert data(place, "composed", "+copy=${base}")["copy"] == "http://host"
    assert data(place, "plain", "+copy=${base}")["copy"] == "${base}"


# --- mistakes -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "overrides", "sentence"),
    [
        ("plian", [], "plian.yaml: no such file; did you mean 'plain'?"),
        ("plian.yaml", [], "plian.yaml: no such file; did you mean 'plain.yaml'?"),
        ("zzz.yaml", [], "zzz.yaml: no such file; choose one of composed.yaml, plain.yaml"),
        ("zzz", [], "zzz.yaml: no such file; choose one of composed, plain"),
        (
            "plain",
            ["params.limit=1"],
            "no key 'limit' in params; did you mean 'limit_samples'?",
        ),
        (
            "plain",
            ["params.limit_sample=1"],
            "no key 'limit_sample' in params; did you mean 'limit_samples'?",
        ),
        # No file sets these sections, which exist.
        ("plain", ["health.cutt=fail"], "no key 'cutt' in health; did you mean 'cut'?"),
        (
            "plain",
            ["benchmarks.home.params.num_fewshot=5"],
            "no key 'num_fewshot' in benchmarks.home.params; did you mean "
            "benchmarks.home.params.extra.num_fewshot?",
        ),
        ("plain", ["defaults=x"], "`defaults` has an effect only in a file; write it there"),
        ("plain", ["+defaults=x"], "`defaults` has an effect only in a file; write it there"),
        ("plain", ["~nothing"], "-o ~nothing: no key 'nothing' in plain.yaml"),
        ("plain", ["+name=x"], "name exists already; to change it write -o name=x"),
        ("plain", ["+name.x=1"], "name is 'plain', which has no keys"),
        ("plain", ["params"], "-o params: is not an override; write key=value"),
        ("plain", ["=1"], "-o =1: is not an override"),
        ("plain", ["a.url=http://h/v1?api-key=k"], "-o a.url: holds a URL with a secret in its"),
        ("plain", ["name=[1"], "-o name=[1: is not an override"),
        ("plain", ["name=a,b"], "-o name=a,b: has several values"),
        ("composed", ["models=lama"], "composed.yaml: defaults: no lama in models; did you mean"),
        ("composed", ["+execution=slurm"], "no slurm in execution; did you mean 'slurm/default'?"),
        ("composed", ["tasks.2.name=x"], "tasks has no '2'; choose one of its 2 items"),
        ("composed", ["+x=${bse}"], "-o: x: Interpolation key 'bse' not found; correct it"),
        ("composed", ["+x=${f:1}"], "-o: x: Unsupported interpolation type f"),
        ("composed", ["base='???'"], "-o: base is ???, which requires a value; set it in the file"),
        (
            "composed",
            ["base=${oc.env:API_KEY}"],
            "-o: base: would save the value of $API_KEY in the configuration",
        ),
        (
            "composed",
            ["+env_vars={A: 'x${oc.env:HOME}'}"],
            "-o: env_vars.A: would save the value of $HOME in the configuration",
        ),
    ],
)
def test_a_mistake_is_one_sentence(
    place: Path, name: str, overrides: list[str], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(place, name, overrides)
    assert sentence in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            "defaults: [_self_]\na: 1\na: 2\n",
            "c.yaml, line 3, column 1: duplicate key 'a'",
        ),
        ("defaults: [_self_]\n\ta: 1\n", "a tab is used"),
        (b"defaults: [_self_]\na: \xff\n", "is not UTF-8"),
        ("defaults: [nothing]\n", "c.yaml: defaults: no file nothing.yaml"),
        ("defaults: [{execution: lokal}, _self_]", "no lokal in execution; did you mean 'local'?"),
        ("defaults: 3\n", "c.yaml: "),
        (f"defaults: [{'x, ' * 1_001}]\n", "defaults: has 1,001 entries, and 1,000 is the most"),
        ("defaults: [_self_]\na: ???\nb: {c: '???'}\n", "c.yaml: b.c is ???"),
        ("defaults: [_self_]\na: ${\n", "c.yaml: "),
        ("defaults: [_self_]\na: ${b}\nb: ${a}\n", "c.yaml: "),
    ],
)
def test_a_composed_file_is_checked_as_strictly_as_a_plain_one(
    tmp_path: Path, content: str | bytes, sentence: str
) -> None:
    write(tmp_path, content)
    with pytest.raises(ConfigError) as caught:
        compose(tmp_path, "c")
    assert sentence in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_group_file_is_checked_as_strictly_as_a_plain_one(place: Path) -> None:
    write(place, "llama: {a: 1}\nllama: {b: 2}\n", "models/llama.yaml")
    with pytest.raises(
        ConfigError, match=r"models/llama.yaml, line 2, column 1: duplicate key 'llama'"
    ):
        compose(place, "composed")


def test_a_missing_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere: no such directory"):
        compose(tmp_path / "nowhere", "c")


# --- saved configurations -----------------------------------------------------------------

NULLS = VALID | {
    "params": {"temperature": None, "max_retries": 5},
    "benchmarks": {
        "b": COMMAND | {"params": {"top_p": None, "extra": {"a": [1, None], "on": True}}},
        "c": COMMAND | {"env": ["HOME"], "per_model": {"m": {"top_p": 0.5}}},
    },
    "exclude": ["m/c*"],
}


@pytest.mark.parametrize(
    "given",
    [NULLS, VALID]
    + [
        path
        for path in sorted((REPOSITORY / "config" / "examples").glob("*.yaml"))
        # One of them requires weights that the repository does not have.
        if "defaults" not in yaml.safe_load(path.read_text()) and path.stem != "local-weights"
    ],
)
def test_a_saved_configuration_has_the_same_identity_and_fingerprints(
    tmp_path: Path, given: dict[str, Any] | Path
) -> None:
    config, _, _ = load([given if isinstance(given, Path) else write(tmp_path, given)])
    saved = write(tmp_path, text(config), "saved.yaml")
    again, _, _ = load([saved])
    assert identity(again) == identity(config)
    assert [e.fingerprint for e in expand(again)] == [e.fingerprint for e in expand(config)]
    assert text(again) == text(config)


def test_a_home_that_cannot_be_written_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "home").touch()
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    with pytest.raises(ConfigError, match=r"^SNAKEVAL_HOME: .*home.* cannot be written \("):
        save(config(tmp_path, VALID))
