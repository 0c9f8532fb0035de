"""A model's server as it will be started: its command line, its variables, its mounts.

Long because the tests of one module are in one file, and this module has many cases.
"""

from __future__ import annotations

import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from snakeval import catalogue
from snakeval.config import models
from snakeval.errors import ConfigError, EvaluationError
from snakeval.run.directory import RunDirectory
from snakeval.runtimes import connect
from snakeval.runtimes.podman import Podman
from snakeval.runtimes.spec import ContainerSpec
from snakeval.serving.container import check, container, installed
from snakeval.serving.deployment import MARK, Deployment, Nodes, server_name, server_names
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.plan import Plan
from snakeval.serving.resolve import resolve
from snakeval.serving.sampled_weights import checkpoint_digest
from snakeval.serving.weights import by_stat, files_of

HUB = {"hf_model_handle": "org/model"}
ALL_SIZES = {"tensor_parallel_size": 2, "pipeline_parallel_size": 3, "data_parallel_size": 4}
NASTY = """it's "mine" $(touch x)"""
PORT = 8123


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def deployment(network: str = "host", **spec: Any) -> Deployment:
    return resolve("mine", models.Deployment(**spec), network)


def started(made: Deployment, runtime: str = "podman", **environ: str) -> ContainerSpec:
    """What is started on port 8123; podman stands for any engine, and is not asked."""
    engine = connect("process") if runtime == "process" else Podman()
    return container(made, engine, PORT, made.serving.gpu_ids or ("0",), environ)


def words(spec: ContainerSpec) -> str:
    """The command that the shell in the container reads, one blank between its words."""
    text = spec.argv[2].removeprefix("exec ")
    return " ".join(shlex.split(text))


# --- several of it -----------------------------------------------------------------------------


def test_gpus_are_those_of_a_node_and_change_no_score() -> None:
    one = deployment(kind="vllm", **HUB, command="serve", tensor_parallel_size=8)
    two = deployment(kind="vllm", **HUB, command="serve", tensor_parallel_size=8, nodes=2)
    assert (one.serving.gpus, two.serving.gpus) == (8, 4)
    assert one.definition == two.definition
    assert one.id != two.id


@pytest.mark.parametrize(
    ("nodes", "instances", "hosts", "gpus"),
    [(1, 1, 1, 2), (1, 3, 1, 6), (2, 1, 2, 2), (2, 3, 6, 2)],
)
def test_what_all_of_it_needs(nodes: int, instances: int, hosts: int, gpus: int) -> None:
    made = deployment(kind="generic", command="c", gpus=2, nodes=nodes, instances=instances)
    assert (made.serving.hosts, made.serving.gpus_on_host) == (hosts, gpus)


def test_on_several_nodes_the_command_knows_the_head_and_listens_to_the_network() -> None:
    command = "serve {{ host }} {{ head }} {{ nodes }} {{ gpus_per_node }}"
    made = deployment(kind="generic", command=command, nodes=2, gpus=4)
    nodes = Nodes(("n1", "n2"), ("10.0.0.1", "10.0.0.2"), 20001)
    spec = container(made, Podman(), PORT, ("0", "1", "2", "3"), {}, nodes=nodes)
    assert words(spec) == "serve 0.0.0.0 10.0.0.1 2 4"
    assert spec.env["SNAKEVAL_HEAD_ADDRESS"] == "10.0.0.1"
    assert (spec.env["SNAKEVAL_HEAD_PORT"], spec.env["SNAKEVAL_NODES"]) == ("20001", "2")
    assert spec.env["SNAKEVAL_NODE_ADDRESSES"] == "10.0.0.1,10.0.0.2"
    alone = container(made, Podman(), PORT, ("0",), {})
    assert words(alone) == "serve 127.0.0.1 127.0.0.1 2 1"
    assert "SNAKEVAL_NODES" not in alone.env


def test_each_part_has_a_name_by_which_what_is_left_of_it_is_found() -> None:
    made = deployment(kind="generic", command="c", nodes=2, instances=2)
    base = server_name(made)
    assert server_names(made) == [
        f"{base}-0", f"{base}-1",
        f"{base}-0-0", f"{base}-0-1", f"{base}-1-0", f"{base}-1-1",
        f"{base}-proxy",
    ]  # fmt: skip


# --- the kinds --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "command"),
    [
        (
            {"kind": "vllm", **HUB},
            "vllm serve org/model --host 127.0.0.1 --port 8123 --served-model-name org/model",
        ),
        (
            {"kind": "vllm", **HUB, **ALL_SIZES, "type": "embedding", "extra_args": "--seed 1"},
            "vllm serve org/model --host 127.0.0.1 --port 8123 --served-model-name org/model "
            "--tensor-parallel-size 2 --pipeline-parallel-size 3 --data-parallel-size 4 "
            "--runner pooling --seed 1",
        ),
        (
            {"kind": "sglang", **HUB},
            "sglang serve --model-path org/model --host 127.0.0.1 --port 8123 "
            "--served-model-name org/model",
        ),
        (
            {"kind": "sglang", **HUB, **ALL_SIZES, "type": "embedding", "extra_args": "--seed 1"},
            "sglang serve --model-path org/model --host 127.0.0.1 --port 8123 "
            "--served-model-name org/model --tp-size 2 --pp-size 3 --dp-size 4 --is-embedding "
            "--seed 1",
        ),
        (
            {"kind": "trtllm", **HUB, "tensor_parallel_size": 2, "pipeline_parallel_size": 3},
            "trtllm-serve org/model --host 127.0.0.1 --port 8123 --served_model_name org/model "
            "--tp_size 2 --pp_size 3",
        ),
        (
            {"kind": "trtllm", **HUB, "type": "embedding"},
            "trtllm-serve embeddings org/model --host 127.0.0.1 --port 8123",
        ),
        (
            {"kind": "llamacpp", "hf_model_handle": "org/model-GGUF:Q4_K_M"},
            "/app/llama-server --hf-repo org/model-GGUF:Q4_K_M --host 127.0.0.1 --port 8123 "
            "--alias org/model-GGUF:Q4_K_M",
        ),
        (
            {"kind": "llamacpp", **HUB, "type": "embedding", "extra_args": "-c 4096"},
            "/app/llama-server --hf-repo org/model --host 127.0.0.1 --port 8123 "
            "--alias org/model --embeddings -c 4096",
        ),
        (
            {"kind": "generic", "command": "serve {{ port }} {{ served_model_name }} {{ gpus }}"},
            "serve 8123 mine 1",
        ),
        (
            {"kind": "vllm", **HUB, "command": "my-vllm {{ model }} -p {{ port }}"},
            "my-vllm org/model -p 8123",
        ),
    ],
    ids=lambda value: value["kind"] if isinstance(value, dict) else "",
)
def test_a_kind_knows_the_command_of_its_server(spec: dict[str, Any], command: str) -> None:
    assert words(started(deployment(**spec))) == command


def test_without_an_image_the_program_of_a_kind_is_the_one_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = deployment(kind="llamacpp", **HUB, runtime="process")
    assert words(started(made, "process")).startswith("llama-server --hf-repo org/model --host")
    assert not installed(made, {"PATH": str(tmp_path)})
    (tmp_path / "llama-server").write_text("#!/bin/sh\n")
    (tmp_path / "llama-server").chmod(0o755)
    assert installed(made, {"PATH": str(tmp_path)})
    own = deployment(kind="llamacpp", **HUB, command="/app/llama-server -m {{ model }}")
    assert words(started(own, "process")) == "/app/llama-server -m org/model"


def test_a_server_answers_for_its_tokenizer_if_no_harness_can_read_it(tmp_path: Path) -> None:
    spec = {"kind": "vllm", "checkpoint_path": str(tmp_path), "type": "completions"}
    option = "--enable-tokenizer-info-endpoint"
    made = deployment(**spec)
    assert words(started(made)).endswith(option)
    assert words(started(deployment(**spec, extra_args=option))).count(option) == 1
    assert option not in words(started(deployment(**spec, command="serve {{ model }}")))
    (tmp_path / "tokenizer.json").write_text("{}")
    assert option not in words(started(made))
    assert made.definition.runs == deployment(**spec).definition.runs


@pytest.mark.parametrize("kind", ["vllm", "sglang", "trtllm", "llamacpp"])
def test_no_name_of_a_model_is_executed_by_the_shell(kind: str) -> None:
    made = deployment(kind=kind, **HUB, served_model_name=NASTY)
    text = started(made).argv[2].removeprefix("exec ")
    assert NASTY in shlex.split(text)


def test_extra_arguments_are_words_as_a_shell_reads_them() -> None:
    made = deployment(kind="vllm", **HUB, extra_args="""--chat-template "{{ 'a b' }}" --seed 1""")
    text = started(made).argv[2].removeprefix("exec ")
    assert shlex.split(text)[-4:] == ["--chat-template", "{{ 'a b' }}", "--seed", "1"]


def test_a_nim_keeps_its_entry_point_and_gets_port_and_name_as_variables() -> None:
    spec = started(deployment(kind="nim", image="nvcr.io/nim/org/model:1"))
    assert (spec.entry_point, spec.argv) == (True, ())
    assert spec.image == "nvcr.io/nim/org/model:1"
    # What renders empty is not set: an empty size would be a size to it.
    assert {name: value for name, value in spec.env.items() if name.startswith("NIM")} == {
        "NIM_SERVER_PORT": "8123",
        "NIM_SERVED_MODEL_NAME": "mine",
        "NIM_CACHE_PATH": "/opt/nim/.cache",
    }


def test_a_nim_gets_sizes_checkpoint_and_further_arguments_as_variables(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    made = deployment(
        kind="nim",
        image="nvcr.io/nim/nvidia/llm-nim:1",
        checkpoint_path=str(tmp_path / "weights"),
        served_model_name=NASTY,
        extra_args="--max-model-len 4096 --chat-template 'a b'",
        **ALL_SIZES,
    )
    spec = started(made)
    assert spec.argv == ("--max-model-len", "4096", "--chat-template", "a b")
    assert spec.env["NIM_MODEL_PATH"] == "/checkpoint"
    assert spec.env["NIM_SERVED_MODEL_NAME"] == NASTY
    assert spec.env["NIM_TENSOR_PARALLEL_SIZE"] == "2"
    assert spec.env["NIM_PIPELINE_PARALLEL_SIZE"] == "3"
    assert spec.env["NIM_PASSTHROUGH_ARGS"] == "--data-parallel-size 4"


def test_an_image_without_a_command_keeps_its_entry_point() -> None:
    spec = started(deployment(kind="generic", image="server:1", extra_args="--port 8123"))
    assert (spec.entry_point, spec.argv) == (True, ("--port", "8123"))


def test_a_kind_has_its_image_and_the_size_of_its_shared_memory() -> None:
    for kind in ("vllm", "sglang", "trtllm", "llamacpp"):
        known = catalogue.server_kinds()[kind]
        spec = started(deployment(kind=kind, **HUB))
        assert (spec.image, spec.shm_mb) == (known.image, known.shm_mb)
    spec = started(deployment(kind="vllm", **HUB, image="my/vllm:2", shm_mb=99, mem_mb=7))
    assert (spec.image, spec.shm_mb, spec.mem_mb) == ("my/vllm:2", 99, 7)


# --- what it serves ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ({"kind": "vllm", **HUB}, "org/model"),
        ({"kind": "vllm", **HUB, "served_model_name": "short"}, "short"),
        ({"kind": "generic", "command": "serve"}, "mine"),
    ],
)
def test_a_model_is_served_by_its_handle_or_by_its_name_here(
    spec: dict[str, Any], name: str
) -> None:
    assert deployment(**spec).definition.served_model_name == name


@pytest.mark.parametrize(
    ("more", "url"),
    [
        ({}, "http://127.0.0.1:8123/v1/chat/completions"),
        ({"type": "vlm"}, "http://127.0.0.1:8123/v1/chat/completions"),
        ({"type": "completions"}, "http://127.0.0.1:8123/v1/completions"),
        ({"type": "embedding"}, "http://127.0.0.1:8123/v1/embeddings"),
        (
            {"type": "embedding", "endpoints": {"embeddings": "/embed", "chat": "/chat"}},
            "http://127.0.0.1:8123/embed",
        ),
        ({"endpoints": {"chat": "/chat"}}, "http://127.0.0.1:8123/chat"),
    ],
)
def test_the_route_follows_from_the_type_and_can_be_another(more: dict[str, Any], url: str) -> None:
    assert deployment(kind="vllm", **HUB, **more).route_url(PORT) == url


def test_how_it_is_asked_whether_it_is_ready_follows_from_the_kind_and_can_be_another() -> None:
    serving = deployment(kind="nim", image="i").serving
    assert (serving.health_path, serving.models_path) == ("/v1/health/ready", "/v1/models")
    paths = {"health": "/ping", "models": "/models"}
    serving = deployment(kind="nim", image="i", endpoints=paths).serving
    assert (serving.health_path, serving.models_path) == ("/ping", "/models")


@pytest.mark.parametrize(
    ("spec", "gpus", "which"),
    [
        ({"kind": "vllm", **HUB}, 1, ()),
        ({"kind": "vllm", **HUB, **ALL_SIZES}, 24, ()),
        ({"kind": "vllm", **HUB, "gpus": 0}, 0, ()),
        ({"kind": "llamacpp", **HUB, "gpus": 2}, 2, ()),
        ({"kind": "nim", "image": "i", "gpus": [3, 1]}, 2, ("3", "1")),
        ({"kind": "generic", "command": "serve", "tensor_parallel_size": 2}, 0, ()),
        ({"kind": "generic", "command": "serve", "gpus": [5]}, 1, ("5",)),
    ],
)
def test_it_needs_the_gpus_that_it_names_or_else_those_of_its_sizes(
    spec: dict[str, Any], gpus: int, which: tuple[str, ...]
) -> None:
    serving = deployment(**spec).serving
    assert (serving.gpus, serving.gpu_ids) == (gpus, which)
    assert started(deployment(**spec)).gpu_ids == (which or ("0",))


# --- weights ----------------------------------------------------------------------------------


def test_a_checkpoint_is_mounted_in_a_container_and_itself_as_a_process(tmp_path: Path) -> None:
    weights = tmp_path / "a model"
    weights.mkdir()
    made = deployment(kind="vllm", checkpoint_path=str(weights))
    inside = started(made)
    assert words(inside).startswith("vllm serve /checkpoint --host")
    assert (str(weights), "/checkpoint", True) in [
        (mount.source, mount.target, mount.read_only) for mount in inside.mounts
    ]
    here = started(made, "process")
    assert shlex.split(here.argv[2].removeprefix("exec "))[2] == str(weights)


@pytest.mark.parametrize("runtime", ["podman", "process"])
def test_a_copy_of_a_checkpoint_on_the_node_is_served_if_it_is_the_same(
    tmp_path: Path, runtime: str
) -> None:
    weights, local = tmp_path / "shared" / "large", tmp_path / "scratch"
    weights.mkdir(parents=True)
    (weights / "model.safetensors").write_bytes(b"12345")
    made = deployment(kind="vllm", checkpoint_path=str(weights))
    stat = by_stat(files_of(weights))
    made = replace(made, serving=replace(made.serving, weights_stat=stat))

    def served() -> str:
        spec = started(made, runtime, SNAKEVAL_LOCAL_WEIGHTS=str(local))
        if runtime == "process":
            return shlex.split(spec.argv[2].removeprefix("exec "))[2]
        return next(mount.source for mount in spec.mounts if mount.target == "/checkpoint")

    assert served() == str(weights), "there is no copy"
    shutil.copytree(weights, local / "large")  # with the times of the files
    assert served() == str(local / "large")
    (local / "large" / "model.safetensors").write_bytes(b"123")
    assert served() == str(weights), "the copy is not complete"


def test_a_checkpoint_of_one_file_keeps_its_name(tmp_path: Path) -> None:
    file = tmp_path / "model-Q4.gguf"
    file.write_bytes(b"GGUF")
    spec = started(deployment(kind="llamacpp", checkpoint_path=str(file)))
    assert words(spec).startswith("/app/llama-server --model /checkpoint/model-Q4.gguf --host")
    assert "/checkpoint/model-Q4.gguf" in [mount.target for mount in spec.mounts]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    place = tmp_path / "checkpoint"
    (place / "sub").mkdir(parents=True)
    (place / "config.json").write_text("{}")
    (place / "sub" / "weights").write_bytes(bytes(300_000))
    return place


def test_a_checkpoint_that_moves_is_the_same(checkpoint: Path, tmp_path: Path) -> None:
    before = checkpoint_digest(checkpoint)
    moved = tmp_path / "elsewhere"
    shutil.copytree(checkpoint, moved)
    assert checkpoint_digest(moved) == before
    # As the hub's cache keeps one: links to blobs.
    linked = tmp_path / "snapshot"
    (linked / "sub").mkdir(parents=True)
    for name in ("config.json", "sub/weights"):
        (linked / name).symlink_to(checkpoint / name)
    assert checkpoint_digest(linked) == before


def test_a_checkpoint_that_changes_is_another(checkpoint: Path) -> None:
    seen = [checkpoint_digest(checkpoint)]

    def changed() -> None:
        seen.append(checkpoint_digest(checkpoint))
        assert len({*seen}) == len(seen)

    weights = checkpoint / "sub" / "weights"
    weights.write_bytes(b"1" + bytes(299_999))  # another beginning
    changed()
    weights.write_bytes(bytes(299_999) + b"1")  # another end
    changed()
    weights.write_bytes(bytes(300_001))  # another size
    changed()
    weights.rename(weights.with_name("other"))  # another name
    changed()
    (checkpoint / "config.json").write_text("{ }")
    changed()
    (checkpoint / "tokenizer.json").write_text("")
    changed()


def test_what_git_and_the_hubs_client_leave_is_no_part_of_a_checkpoint(checkpoint: Path) -> None:
    before = checkpoint_digest(checkpoint)
    leftover = checkpoint / ".cache" / "huggingface" / "download" / "config.json.metadata"
    leftover.parent.mkdir(parents=True)
    leftover.write_text("1764061200.0")
    (checkpoint / ".gitattributes").write_text("")
    assert checkpoint_digest(checkpoint) == before


def test_a_checkpoint_of_one_file_is_known_by_its_content(tmp_path: Path) -> None:
    file = tmp_path / ".hidden.gguf"
    file.write_bytes(b"a")
    before = checkpoint_digest(file)
    file.write_bytes(b"b")
    assert checkpoint_digest(file) != before


def test_a_checkpoint_that_cannot_be_read_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"^/proc/self/mem: cannot be read \(.+\); .*weights_digest: stat"
    ):
        checkpoint_digest(Path("/proc/self/mem"))


# --- its surroundings -------------------------------------------------------------------------


def test_weights_of_a_hub_are_kept_for_every_run(home: Path) -> None:
    spec = started(deployment(kind="vllm", **HUB))
    assert spec.env["HF_HOME"] == "/cache/huggingface"
    (cache,) = spec.mounts
    assert (cache.source, cache.target, cache.read_only) == (str(home / "cache"), "/cache", False)
    (nim,) = started(deployment(kind="nim", image="i")).mounts
    assert (nim.source, nim.target) == (str(home / "cache" / "nim"), "/opt/nim/.cache")
    assert Path(nim.source).is_dir()


def test_a_process_uses_the_user_s_cache_or_else_snakeval_s(home: Path) -> None:
    made = deployment(kind="vllm", **HUB)
    ours = str(home / "cache" / "huggingface")
    assert started(made, "process").env["HF_HOME"] == ours
    assert "HF_HOME" not in started(made, "process", HF_HOME="/mine").env


def test_tokens_come_by_the_names_of_variables_and_only_where_they_are_set() -> None:
    made = deployment(kind="vllm", **HUB, env={"API_TOKEN": "MY_TOKEN"})
    assert started(made).secrets == {"API_TOKEN": "MY_TOKEN"}
    spec = started(made, HF_TOKEN="hf-canary", MY_TOKEN="my-canary")
    assert spec.secrets == {"HF_TOKEN": "HF_TOKEN", "API_TOKEN": "MY_TOKEN"}
    assert spec.secret_values() == {"HF_TOKEN": "hf-canary", "API_TOKEN": "my-canary"}
    assert "canary" not in repr(spec) + Podman().shell(spec)


def test_a_server_is_offline_if_snakeval_is() -> None:
    made = deployment(kind="vllm", **HUB)
    assert started(made, HF_HUB_OFFLINE="1").secret_values() == {"HF_HUB_OFFLINE": "1"}
    made = deployment(kind="vllm", **HUB, set_env={"HF_HUB_OFFLINE": "0"})
    assert started(made, HF_HUB_OFFLINE="1").secrets == {}


def test_what_is_set_is_stronger_than_what_the_kind_sets() -> None:
    spec = started(deployment(kind="nim", image="i", set_env={"NIM_SERVER_PORT": "1", "A": "b"}))
    assert (spec.env["NIM_SERVER_PORT"], spec.env["A"]) == ("1", "b")


def test_mounts_of_ones_own_are_added(tmp_path: Path) -> None:
    mount = {"source": str(tmp_path), "target": "/data", "read_only": False}
    spec = started(deployment(kind="vllm", **HUB, mounts=[mount]))
    assert (spec.mounts[0].source, spec.mounts[0].target) == (str(tmp_path), "/data")
    assert not spec.mounts[0].read_only


def test_it_listens_on_this_machine_only_unless_harnesses_come_over_a_bridge() -> None:
    assert "--host 127.0.0.1" in words(started(deployment(kind="vllm", **HUB)))
    bridged = deployment("bridge", kind="vllm", **HUB)
    assert "--host 0.0.0.0" in words(started(bridged))
    assert started(bridged).network == "host"


def test_its_processes_are_known_by_a_mark_and_its_container_by_name_and_labels() -> None:
    made = deployment(kind="vllm", **HUB)
    spec = started(made)
    assert spec.name == spec.env[MARK] == server_name(made)
    assert spec.labels == {"snakeval.server": made.id, "snakeval.model": "org/model"}


def test_equal_deployments_are_one_server_and_others_are_not() -> None:
    made = deployment(kind="vllm", **HUB)
    assert made.id == deployment(kind="vllm", **HUB).id
    assert made.id != deployment(kind="vllm", **HUB, port=8000).id
    assert made.id != deployment(kind="vllm", **HUB, extra_args="--seed 1").id


# --- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        (
            {"command": "serve {{ prot }}"},
            "the deployment's `command` is not a valid template: 'prot' is undefined; correct it",
        ),
        ({"command": "serve {{ port"}, "the deployment's `command` is not a valid template: "),
        (
            {"command": "serve", "runtime": "docker"},
            "runtime docker needs an image; add `image`, or runtime: process",
        ),
        (
            {"image": "i", "runtime": "process"},
            "runtime process has no image that knows a command; add `command`",
        ),
    ],
)
def test_a_deployment_that_cannot_start_fails_the_check(
    spec: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(EvaluationError) as refused:
        check(deployment(kind="generic", **spec))
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize(
    ("command", "found"),
    [
        ("python3 -m server --port {{ port }}", True),
        ("no-such-server --port {{ port }}", False),
        ("it's", False),
        ("{{ nothing }}", False),
        ("", False),
    ],
)
def test_whether_a_process_could_run_it_is_seen_by_the_commands_program(
    command: str, found: bool
) -> None:
    made = deployment(kind="generic", image="i", command=command or None)
    assert installed(made, {"PATH": "/usr/bin:/bin"}) is found
    assert not installed(made, {"PATH": "/nonexistent"})


# --- the way to the jobs ----------------------------------------------------------------------


def test_a_plan_survives_the_way_to_the_jobs(tmp_path: Path) -> None:
    mounts = [{"source": "/data", "target": "/data"}]
    made = deployment(kind="vllm", **HUB, gpus=[0, 1], mounts=mounts, set_env={"A": "b"})
    plan = Plan("mine", 3, made, (("mine/ifeval", "f" * 64),))
    run = RunDirectory(tmp_path)
    DeploymentDirectory.of(run, "mine").define(plan)
    assert DeploymentDirectory.plans(run) == [plan]
    assert DeploymentDirectory.of(run, "mine").plan().deployment.id == made.id


@pytest.mark.parametrize("text", [None, "", "{}", "[]", '{"name": 1}'])
def test_a_plan_that_cannot_be_read_is_one_sentence(tmp_path: Path, text: str | None) -> None:
    directory = DeploymentDirectory.of(RunDirectory(tmp_path), "mine")
    directory.plan_file.parent.mkdir(parents=True)
    if text is not None:
        directory.plan_file.write_text(text)
    with pytest.raises(EvaluationError, match=r"mine\.json cannot be read .*; give the same"):
        directory.plan()


def test_where_it_is_started_is_no_part_of_what_it_serves() -> None:
    made = deployment(kind="vllm", **HUB)
    elsewhere = deployment("bridge", kind="vllm", **HUB, port=1, gpus=4, max_restarts=0)
    assert elsewhere.definition == made.definition
    assert replace(elsewhere, serving=made.serving) == made


def test_the_users_mount_at_the_place_of_the_cache_is_the_only_one_there(tmp_path: Path) -> None:
    mount = {"source": str(tmp_path), "target": "/opt/nim/.cache"}
    made = deployment(kind="nim", image="nim:1", mounts=[mount])
    spec = container(made, Podman(), PORT, (), {})
    (only,) = [each for each in spec.mounts if each.target == "/opt/nim/.cache"]
    assert only.source == str(tmp_path)
