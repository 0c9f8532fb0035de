"""Tests that inputs which once ended in a traceback, or passed unnoticed, are one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snakeval.config.compose import compose, save
from snakeval.config.load import choose, load
from snakeval.config.nemo_launcher import translate
from snakeval.config.overrides import parse
from snakeval.errors import ConfigError
from support.configs import MODEL, VALID, changed, write

LONG = "a" * 300
ROUTED = "http://host/v1/completions"
VLLM = {"kind": "vllm", "hf_model_handle": "org/model"}
LAUNCHER = {
    "target": {"api_endpoint": {"url": "http://x/v1/chat/completions", "model_id": "m"}},
    "evaluation": {"tasks": [{"name": "ifeval"}]},
}


def lepton(**options: Any) -> dict[str, Any]:
    return changed("models", "m", to={"deployment": {**VLLM, "lepton": options}})


def on_lepton(**tasks: Any) -> dict[str, Any]:
    return {"execution": {"type": "lepton", "lepton_platform": {"tasks": tasks}}}


def endpoint(**changes: Any) -> dict[str, Any]:
    return changed("models", "m", "endpoint", to={**MODEL["endpoint"], **changes})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (changed("models", "a" * 20, to=MODEL), "repeats 'a' 20 times"),
        (changed("models", "xabab" + "ab" * 18, to=MODEL), "repeats 'ab' 20 times"),
        (changed("benchmarks", "b", "files", to=LONG), "benchmarks.b.files: has a part of 300 byt"),
        (changed("benchmarks", "b", "files", to="a/" * 2100), "benchmarks.b.files: has 4200 bytes"),
        (
            changed("benchmarks", "b", "mounts", to=[{"source": LONG, "target": "/x"}]),
            "benchmarks.b.mounts.0.source: has a part of 300 bytes",
        ),
        (changed("output_dir", to="é" * 128), "output_dir: has a part of 256 bytes"),
        (changed("export", to={"local": {"output_dir": 5}}), "export: local.output_dir: must be a"),
        (
            changed("export", to={"local": {"output_dir": LONG}}),
            "local.output_dir: has a part",
        ),
        (changed("benchmarks", "b", "task", to="x"), ""),
        (
            endpoint(url=ROUTED),
            "models.m.endpoint: its url ends with /completions",
        ),
        (endpoint(url="http://h:0/v1"), "url: is not an http(s) URL"),
        (endpoint(url=f"http://{'h' * 64}.org/v1"), "url: has a host that cannot be a name in DNS"),
        (endpoint(url=f"http://{'h.' * 127}org/v1"), "url: has a host that cannot be a name in D"),
        (endpoint(url="http://a..b/v1"), "url: has a host that cannot be a name in DNS"),
        (endpoint(url="http://a\u202eb/v1"), "url: has a host that cannot be a name in DNS"),
        (endpoint(url=ROUTED, type="embedding"), "its url ends with /completions, and its type is"),
        (
            endpoint(url="http://host/v1/chat/completions?a=1", type="completions"),
            "its url ends with /chat/completions, and its type is completions",
        ),
        (endpoint(model_id=".."), "models.m.endpoint.model_id: is '..', which no server lists"),
        (
            endpoint(model_id="${MODEL}"),
            "models.m.endpoint.model_id: has ${…}, which a",
        ),
        (endpoint(model_id="."), "models.m.endpoint.model_id: is '.', which no server lists"),
        (lepton(max_replicas=3), "max_replicas without a target"),
        (lepton(target_qpm=3), "target_qpm without max_replicas"),
        (lepton(target_gpu_utilization=50, min_replicas=2, max_replicas=2), "target_gpu_utilizati"),
    ],
)
def test_an_impossible_value_is_one_sentence(
    tmp_path: Path, content: dict[str, Any], sentence: str
) -> None:
    file = write(tmp_path, content)
    if not sentence:
        load([file])
        return
    with pytest.raises(ConfigError) as found:
        load([file])
    assert sentence in str(found.value)
    assert len(found.value.problems) == 1


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("chat", "http://host/v1/chat/completions"),
        ("vlm", "http://host/v1/chat/completions"),
        ("completions", ROUTED),
        ("embedding", "http://host/v1/embeddings"),
        ("completions", "http://host/v1"),
    ],
)
def test_a_route_of_the_type_is_right(tmp_path: Path, kind: str, url: str) -> None:
    config, _, _ = load([write(tmp_path, endpoint(url=url, type=kind))])
    assert config.models["m"].type == kind


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("benchmarks: [!!set {a}]", "benchmarks: a list may contain names only"),
        ("benchmarks: {b: {task: !!timestamp foo}}", "is no !!timestamp"),
        ('benchmarks: {b: {task: !!int ""}}', "is no !!int"),
    ],
)
def test_a_tag_of_yaml_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    file = write(tmp_path, f"models: {{m: {{endpoint: {{url: 'http://h', model_id: m}}}}}}\n{text}")
    with pytest.raises(ConfigError) as found:
        load([file])
    assert sentence in str(found.value)
    assert "NoneType" not in str(found.value)


def translated(tmp_path: Path, content: Any) -> Any:
    file = write(tmp_path, content)
    return choose(translate(compose(file.parent, file.name), file.stem).source, {})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            on_lepton(mounts=1),
            "lepton_platform.tasks.mounts: must be a list",
        ),
        (
            {
                "execution": {
                    "type": "lepton",
                    "lepton_platform": {"tasks": {"image_pull_secrets": 1}},
                }
            },
            "lepton_platform.tasks.image_pull_secrets: must be a list",
        ),
        (
            {
                "deployment": {
                    "type": "vllm",
                    "hf_model_handle": "a/b",
                    "lepton_config": {"mounts": {"enabled": True, "cache_path": "/a"}},
                }
            },
            "deployment.lepton_config.mounts: requires cache_path and mount_path",
        ),
        (
            {"evaluation": {"tasks": [{"name": "lm-evaluation-harness.ifevall"}]}},
            "did you mean 'lm-evaluation-harness.ifeval'?",
        ),
        (
            {"evaluation": {"tasks": [{"name": "simple_evals.gpqa_dimond"}]}},
            "did you mean 'simple_evals.gpqa_diamond'?",
        ),
    ],
)
def test_a_wrong_key_of_the_launcher_is_one_sentence(
    tmp_path: Path, content: dict[str, Any], sentence: str
) -> None:
    base = {"evaluation": LAUNCHER["evaluation"]} if "deployment" in content else LAUNCHER
    with pytest.raises(ConfigError) as found:
        translated(tmp_path, {**base, **content})
    assert sentence in str(found.value)
    assert len(found.value.problems) == 1


@pytest.mark.parametrize("name", ["gsm8k_of_mine", "aime_2031", "ifeval2"])
def test_a_custom_task_of_a_harness_is_no_misspelling(tmp_path: Path, name: str) -> None:
    tasks = [{"name": f"lm-evaluation-harness.{name}"}]
    config, _ = translated(tmp_path, {**LAUNCHER, "evaluation": {"tasks": tasks}})
    assert len(config.benchmarks) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("defaults:\n- {'': local}\n", "defaults: has an entry without a name"),
        (f"defaults:\n- {{deployment: {LONG}}}\n", "defaults: "),
        (f"defaults:\n- {LONG}\n", "defaults: "),
    ],
)
def test_a_wrong_defaults_list_is_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as found:
        translated(tmp_path, text)
    assert sentence in str(found.value)
    assert len(found.value.problems) == 1


@pytest.mark.parametrize("other", ["c", "other"])
def test_a_file_that_includes_itself_is_one_sentence(tmp_path: Path, other: str) -> None:
    (tmp_path / "other.yaml").write_text("defaults: [c]\n")
    with pytest.raises(ConfigError, match="defaults: a file includes itself; remove its name"):
        translated(tmp_path, f"defaults: [{other}]\n")


def test_a_wrong_group_lists_no_files_outside_the_directory(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "private.yaml").write_text("{}")
    for name in ("../x", f"{tmp_path}/x", "a/../../x"):
        with pytest.raises(ConfigError, match="defaults: no ") as found:
            translated(inner, f"defaults: [{name}]\n")
        assert "private" not in str(found.value)
    for number in range(30):
        (inner / "group").mkdir(exist_ok=True)
        (inner / f"group/file{number}.yaml").write_text("{}")
    with pytest.raises(ConfigError, match="choose one of file") as found:
        translated(inner, "defaults: [group: zzz]\n")
    assert str(found.value).count("file") == 10


@pytest.mark.parametrize(
    "content",
    [
        {"name": "xy" * 3000},
        {"models": {"xy" * 3000: MODEL}},
        {"xy" * 3000: 1},
        {"benchmarks": {"b": {"xy" * 3000: 1}}},
    ],
)
def test_an_error_does_not_repeat_a_text_that_fills_the_screen(
    tmp_path: Path, content: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as found:
        load([write(tmp_path, VALID | content)])
    assert "xyxyxy…" in str(found.value)
    assert len(str(found.value)) < 600 + len(str(tmp_path))


@pytest.mark.parametrize("depth", [60, 1000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a:", "}")])
def test_an_override_that_nests_too_deeply_is_one_sentence(
    depth: int, opening: str, closing: str
) -> None:
    with pytest.raises(ConfigError, match="nested deeper than 50 levels; flatten it"):
        parse(f"+params.extra.x={opening * depth}1{closing * depth}")
    wide = parse(f"+params.extra.x=[{','.join(['[1]'] * 60)}]")
    assert wide.value == [[1]] * 60


# --- tokens in place of names ------------------------------------------------------------------

TOKENS = [
    "hf_AbCdEfCANARY123456",
    "sk_CANARY2",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "AKIAIOSFODNN7EXAMPLE",
    "a94a8fe5ccb19ba61c4c0873d391e987982fbbd3",
    "wJalrXUtnFEMI7K7MDENGbPxRfiCYEXAMPLEKEY",
    "hf_abcdefghijklmnopqrstuvwxyzabcdefgh",
]
NAMES = ["HF_TOKEN", "hf_token", "sk_live_key", "MyServiceApiKey2024", "OPENAI_API_KEY_2", "k"]


@pytest.mark.parametrize("token", TOKENS)
@pytest.mark.parametrize("place", ["api_key_name", "env", "env_of_deployment", "launcher"])
def test_a_token_in_place_of_a_name_is_an_error_that_hides_it(
    tmp_path: Path, token: str, place: str
) -> None:
    content: dict[str, Any] = {
        "api_key_name": endpoint(api_key_name=token),
        "env": changed("benchmarks", "b", "env", to={"HF_TOKEN": token}),
        "env_of_deployment": changed(
            "models", "m", to={"deployment": {**VLLM, "env": {"HF_TOKEN": token}}}
        ),
        "launcher": {**LAUNCHER, "env_vars": {"HF_TOKEN": token}},
    }[place]
    with pytest.raises(ConfigError) as found:
        translated(tmp_path, content)
    assert token not in str(found.value)
    assert "looks like a secret" in str(found.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_usual_name_is_no_token(tmp_path: Path, name: str) -> None:
    config, _, _ = load([write(tmp_path, endpoint(api_key_name=name))])
    endpoint_ = config.models["m"].endpoint
    assert endpoint_ is not None
    assert endpoint_.api_key_name == name


def test_the_home_of_snakeval_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    monkeypatch.setenv("SNAKEVAL_HOME", str(home))
    config, _, _ = load([write(tmp_path, VALID)])
    file = save(config)
    found = {path.stat().st_mode & 0o777 for path in (home, *home.rglob("*")) if path.is_dir()}
    assert found == {0o700}
    assert file.stat().st_mode & 0o777 == 0o600
