"""Tests the translation of the launcher's configurations, and its errors.

Long because the tests of one module are in one file, and this module has many cases.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from snakeval import exporters
from snakeval.config.compose import compose
from snakeval.config.load import check
from snakeval.config.nemo_launcher import fit, translate
from snakeval.errors import ConfigError
from snakeval.matrix.expand import expand
from support.configs import COMMAND, MODEL, VALID, write
from support.launcher import TARGET, TASKS, evaluated, made, served, translated

# --- the model ----------------------------------------------------------------------------


def test_target_becomes_a_model_named_by_its_id(tmp_path: Path) -> None:
    target = {"api_endpoint": TARGET["api_endpoint"] | {"api_key_name": "KEY"}}
    config = made(tmp_path, {"target": target, "evaluation": TASKS})
    (name,) = config.models
    endpoint = config.models[name].endpoint
    assert name == "org-m-1"
    assert endpoint is not None
    assert (endpoint.url, endpoint.model_id, endpoint.type, endpoint.api_key_name) == (
        "http://host/v1/chat/completions",
        "org/m-1",
        "chat",
        "KEY",
    )


@pytest.mark.parametrize(
    ("name", "fitting"),
    [
        ("meta/llama-3.1-8b", "meta-llama-3.1-8b"),
        ("/data/checkpoints/llama 3", "data-checkpoints-llama-3"),
        ("x" * 80, "x" * 64),
        ("日本", "model"),
    ],
)
def test_fit_replaces_characters_that_a_path_should_not_contain(name: str, fitting: str) -> None:
    assert fit(name) == fitting


def test_the_file_names_the_run_and_execution_names_its_directory(tmp_path: Path) -> None:
    content = {"target": TARGET, "evaluation": TASKS, "execution": {"output_dir": "out"}}
    config = made(tmp_path, content)
    assert (config.name, config.output_dir) == ("c", "out")


def test_a_file_may_mix_both_shapes(tmp_path: Path) -> None:
    ours = {"models": {"own": MODEL}, "benchmarks": {"mine": COMMAND}, "runtime": "process"}
    config = made(tmp_path, {"target": TARGET, "evaluation": TASKS, **ours})
    assert set(config.models) == {"own", "org-m-1"}
    assert set(config.benchmarks) == {"mine", "ifeval"}
    assert config.runtime == "process"


def test_without_a_target_snakevals_models_are_used(tmp_path: Path) -> None:
    config = made(tmp_path, {"models": {"own": MODEL}, "evaluation": TASKS})
    assert list(config.models) == ["own"]


# --- deployments --------------------------------------------------------------------------


def test_a_deployment_keeps_its_keys(tmp_path: Path) -> None:
    config = served(
        tmp_path,
        {
            "type": "vllm",
            "image": "vllm/vllm-openai:v1",
            "hf_model_handle": "org/m",
            "served_model_name": "m",
            "tensor_parallel_size": 2,
            "data_parallel_size": 4,
            "extra_args": "--max-model-len 100",
            "gpu_memory_utilization": 0.8,
            "env_vars": {"HF_TOKEN": "$host:MY_TOKEN", "LEVEL": "lit:INFO"},
            "endpoints": {"health": "/ready"},
        },
        execution={"endpoint_readiness_timeout": 60, "env_vars": {"deployment": {"A": "B"}}},
        env_vars={"C": "runtime:D"},
    )
    deployment = config.models["m"].deployment
    assert deployment is not None
    assert deployment.model_dump(exclude_unset=True) == {
        "kind": "vllm",
        "image": "vllm/vllm-openai:v1",
        "hf_model_handle": "org/m",
        "served_model_name": "m",
        "tensor_parallel_size": 2,
        "pipeline_parallel_size": 1,
        "data_parallel_size": 4,
        "extra_args": "--trust-remote-code --gpu-memory-utilization 0.8 --max-model-len 100",
        "env": {"HF_TOKEN": "MY_TOKEN", "A": "B", "C": "D"},
        "set_env": {"LEVEL": "INFO"},
        "endpoints": {"health": "/ready"},
        "readiness_timeout": 60,
        "mounts": (),
    }
    assert config.benchmarks["ifeval"].env == {"C": "D"}


def test_a_command_keeps_its_port_and_its_own_arguments(tmp_path: Path) -> None:
    command = "serve --port ${deployment.port} ${deployment.extra_args}"
    deployment = {"type": "generic", "image": "i", "command": command, "extra_args": "-x"}
    model = served(tmp_path, deployment | {"served_model_name": "m", "pre_cmd": "make"})
    spec = model.models["m"].deployment
    assert spec is not None
    assert (spec.command, spec.port, spec.extra_args) == ("make\nserve --port 8000 -x", 8000, "")


def test_a_checkpoint_is_relative_to_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    spec = served(tmp_path, {"type": "vllm", "checkpoint_path": "weights"})
    deployment = spec.models["weights"].deployment
    assert deployment is not None
    assert deployment.checkpoint_path == str(tmp_path / "weights")


def test_without_a_health_path_the_list_of_models_replaces_it(tmp_path: Path) -> None:
    deployment = {"type": "vllm", "hf_model_handle": "o/m", "endpoints": {"health": None}}
    spec = served(tmp_path, deployment).models["o-m"].deployment
    assert spec is not None
    assert spec.endpoints.health == "/v1/models"


def test_tasks_of_two_endpoint_types_make_two_models_and_no_pair_twice(tmp_path: Path) -> None:
    tasks = [{"name": "ifeval"}, {"name": "gsm8k"}, {"name": "lm-eval.gsm8k"}]
    content = {"evaluation": {"tasks": tasks}, "deployment": {"hf_model_handle": "o/m"}}
    config = made(tmp_path, content, "deployment=vllm")
    assert [evaluation.id for evaluation in expand(config)] == [
        "o-m/ifeval",
        "o-m/lm-eval.gsm8k",
        "o-m-completions/gsm8k",
    ]


# --- tasks --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("ifeval", "lm-evaluation-harness.ifeval"),  # not codec's, which asks completions
        ("simple_evals.mmlu_pro", "simple_evals.mmlu_pro"),
        ("lm-eval.ifeval", "lm-eval.ifeval"),
    ],
)
def test_an_ambiguous_task_is_the_one_that_supports_the_endpoint(
    tmp_path: Path, name: str, task: str
) -> None:
    assert evaluated(tmp_path, {"name": name}).benchmarks[name].task == task


def test_a_task_that_the_catalogue_does_not_list(tmp_path: Path) -> None:
    task = {"name": "simple_evals.mine", "container": "my/image:1"}
    benchmark = evaluated(tmp_path, task).benchmarks["simple_evals.mine"]
    assert (benchmark.harness, benchmark.task, benchmark.image) == (
        "simple_evals",
        "mine",
        "my/image:1",
    )


def test_a_task_twice_is_two_benchmarks(tmp_path: Path) -> None:
    first, second = ({"config.params.temperature": t} for t in (0.0, 1.0))
    tasks = [{"name": "ifeval", "overrides": first}, {"name": "ifeval", "overrides": second}]
    benchmarks = evaluated(tmp_path, *tasks).benchmarks
    assert {n: b.params.temperature for n, b in benchmarks.items()} == {
        "ifeval": 0.0,
        "ifeval-2": 1.0,
    }


def test_dotted_and_nested_parameters_mean_the_same(tmp_path: Path) -> None:
    dotted = {"config.params.top_p": 0.5, "config.params.extra.a.b": 1}
    nested = {"config": {"params": {"top_p": 0.5, "extra": {"a": {"b": 1}}}}}
    one = evaluated(tmp_path, {"name": "ifeval", "overrides": dotted})
    two = evaluated(tmp_path, {"name": "ifeval", "nemo_evaluator_config": nested})
    assert one == two
    assert one.benchmarks["ifeval"].params.extra == {"a": {"b": 1}}


def test_a_tasks_parameters_override_those_of_all_tasks(
    tmp_path: Path,
) -> None:
    config = evaluated(
        tmp_path,
        {"name": "ifeval", "overrides": {"config.params.parallelism": 2}},
        overrides={"config.params.parallelism": 8, "config.params.limit_samples": 5},
    )
    (evaluation,) = expand(config)
    assert evaluation.transport.parallelism == 2
    assert config.params.limit_samples == 5


def test_adapters_of_all_tasks_and_of_one_merge_into_parameters_of_the_benchmarks(
    tmp_path: Path,
) -> None:
    def adapter(**config: Any) -> dict[str, Any]:
        return {"target": {"api_endpoint": {"adapter_config": config}}}

    task = {
        "name": "ifeval",
        "nemo_evaluator_config": adapter(b=2, params_to_add={"x": 2}),
        "overrides": {"target.api_endpoint.adapter_config.c": 3},
    }
    everywhere = adapter(a=0, b=0, c=0, params_to_add={"x": 0, "y": 0})
    content = {
        "target": {"api_endpoint": TARGET["api_endpoint"] | {"adapter_config": {"a": -1, "d": -1}}},
        "evaluation": {
            "tasks": [task, {"name": "gpqa_diamond"}],
            "nemo_evaluator_config": everywhere,
        },
        "benchmarks": {"mine": COMMAND},
    }
    benchmarks = made(tmp_path, content).benchmarks
    assert {name: b.params.extra.get("adapter_config") for name, b in benchmarks.items()} == {
        "ifeval": {"a": 0, "b": 2, "c": 3, "d": -1, "params_to_add": {"x": 2, "y": 0}},
        "gpqa_diamond": {"a": 0, "b": 0, "c": 0, "d": -1, "params_to_add": {"x": 0, "y": 0}},
        "mine": None,
    }


def test_an_adapter_configures_tasks_of_a_deployment(tmp_path: Path) -> None:
    target = {"api_endpoint": {"adapter_config": {"use_caching": True}}}
    config = served(tmp_path, {"type": "vllm", "hf_model_handle": "o/m"}, target=target)
    assert config.benchmarks["ifeval"].params.extra == {"adapter_config": {"use_caching": True}}


def test_a_tasks_variables_override_those_of_all_tasks(tmp_path: Path) -> None:
    task = {"name": "ifeval", "env_vars": {"A": "MINE", "C": "host:D"}}
    config = evaluated(tmp_path, task, {"name": "gpqa_diamond"}, env_vars={"A": "ALL"})
    assert config.benchmarks["ifeval"].env == {"A": "MINE", "C": "D"}
    assert config.benchmarks["gpqa_diamond"].env == {"A": "ALL"}


def test_mounts_of_evaluations_become_mounts_of_benchmarks(tmp_path: Path) -> None:
    mounts = {"evaluation": {str(tmp_path): "/data:ro"}}
    content = {"target": TARGET, "evaluation": TASKS, "execution": {"mounts": mounts}}
    (mount,) = made(tmp_path, content).benchmarks["ifeval"].mounts
    assert (mount.source, mount.target, mount.read_only) == (str(tmp_path), "/data", True)


def test_sequential_mode_is_one_core(tmp_path: Path) -> None:
    content = {"target": TARGET, "evaluation": TASKS, "execution": {"mode": "sequential"}}
    assert translated(tmp_path, content).options == ("--cores", "1")


# --- config.params on the command line ----------------------------------------------------


def test_auto_export_and_its_options_become_destinations(tmp_path: Path) -> None:
    content = {
        "target": TARGET,
        "evaluation": TASKS,
        "execution": {
            "auto_export": {
                "destinations": ["mlflow", "local"],
                "configs": {"mlflow": {"tracking_uri": "http://m", "log_logs": True}},
            }
        },
        "export": {
            "mlflow": {"experiment_name": "e", "tags": {"team": "nlp"}, "description": ""},
            "wandb": {
                "entity": "org", "log_mode": "multi_task", "tags": ["a"], "log_metrics": ["acc"],
                "only_required": False, "extra_metadata": {"gpu": 8},
            },
        },
    }  # fmt: skip
    assert made(tmp_path, content).export == {
        "mlflow": {
            "experiment_name": "e",
            "tracking_uri": "http://m",
            "tags": {"team": "nlp"},
            "artifacts": ["results*", "eval_factory_metrics.json", "run_config.yml", "logs/*"],
        },
        "local": {"artifacts": ["results*", "eval_factory_metrics.json", "run_config.yml"]},
        "wandb": {
            "entity": "org", "per": "run", "tags": {"a": "", "gpu": "8"}, "metrics": ["*acc*"],
            "artifacts": ["artifacts/*"],
        },
    }  # fmt: skip


def test_snakevals_exporters_accept_every_translated_option(tmp_path: Path) -> None:
    export = {
        "wandb": {"entity": "o", "project": "p", "name": "n", "group": "g", "job_type": "j"},
        "mlflow": {"tracking_uri": "http://m", "experiment_name": "e", "run_name": "r"},
        "gsheets": {"spreadsheet_id": "1a", "spreadsheet_name": "weaker", "log_metrics": ["acc"]},
        "local": {"format": "csv", "output_dir": "out", "copy_logs": True},
    }
    config = made(tmp_path, {"target": TARGET, "evaluation": TASKS, "export": export})
    assert set(exporters.configured(config.export)) == set(export)
    assert config.export["local"]["output_dir"] == str(tmp_path / "out")


def test_config_params_override_the_parameters_of_a_task(tmp_path: Path) -> None:
    own = {"config.params.limit_samples": 500, "config.params.extra.seed": 1}
    content = {
        "target": TARGET,
        "evaluation": {"tasks": [{"name": "ifeval", "overrides": own}]},
    }
    options = ["+config.params.limit_samples=10", "+config.params.extra.n=2"]
    (evaluation,) = expand(made(tmp_path, content, *options))
    assert evaluation.identity.params["limit_samples"] == 10
    assert {"seed": 1, "n": 2}.items() <= evaluation.identity.params["extra"].items()


def test_config_params_also_work_in_snakevals_shape(tmp_path: Path) -> None:
    benchmarks = {"b": COMMAND | {"params": {"limit_samples": 500}}, "c": COMMAND}
    write(tmp_path, VALID | {"benchmarks": benchmarks})
    source = compose(tmp_path, "c", ["+config.params.limit_samples=10"])
    evaluations = expand(check(translate(source, "c").source))
    assert [e.identity.params["limit_samples"] for e in evaluations] == [10, 10]


def test_translate_returns_a_file_in_snakevals_shape_unchanged(tmp_path: Path) -> None:
    write(tmp_path, VALID)
    source = compose(tmp_path, "c")
    assert translate(source, "c").source is source


# --- errors -------------------------------------------------------------------------------

GOOD = {"target": TARGET, "evaluation": TASKS}
ADAPTER = {"use_system_prompt": True}


def with_(dotted: str, value: Any) -> dict[str, Any]:
    """`GOOD` with one key set."""
    content: dict[str, Any] = yaml.safe_load(yaml.safe_dump(GOOD))
    place: Any = content
    *above, last = dotted.split("/")
    for part in above:
        place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
    place[last] = value
    return content


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (with_("targt", {}), "targt: unknown key 'targt'; did you mean 'target'?"),
        (with_("execution/outputdir", 1), "execution.outputdir: unknown key 'outputdir'; did you"),
        (with_("execution/extra_docker_args", "-x"), "extra_docker_args: -x is not supported"),
        (with_("execution/mode", "fast"), "execution.mode: must be sequential or parallel"),
        (
            with_("execution/auto_export", {"destinations": "wandb"}),
            "execution.auto_export.destinations: must be a list of names",
        ),
        (
            with_("execution/auto_export", {"destinations": [], "export_image": "python:3"}),
            "execution.auto_export.export_image: is not supported, since the machine that runs",
        ),
        (with_("execution/auto_export", {"destination": ["x"]}), "did you mean 'destinations'"),
        (with_("execution/mounts", {"evaluaton": {"a": "b"}}), "execution.mounts.evaluaton: unkn"),
        (with_("execution", 3), "execution: must hold keys and values, not 3"),
        (
            with_("execution/output_dir", "x") | {"output_dir": "y"},
            "execution.output_dir: repeats the top-level output_dir",
        ),
        (with_("export/wandb", {"run_id": "x"}), "export.wandb.run_id: is not supported, since sn"),
        (with_("export/wandb", {"log_mode": "x"}), "export.wandb.log_mode: must be per_task or"),
        (
            with_("export/gsheets", {"service_account_file": "/x"}),
            "export.gsheets.service_account_file: is not supported; export GOOGLE_APPLICATION",
        ),
        (with_("target/endpoint", {}), "target.endpoint: unknown key 'endpoint'; did you mean"),
        (with_("target/api_endpoint/model", "m"), "target.api_endpoint.model: unknown key 'model'"),
        (with_("target/api_endpoint/model_id", None), "target.api_endpoint.model_id: is missing"),
        (
            with_("target/api_endpoint/adapter_config", 3),
            "target.api_endpoint.adapter_config: must hold keys and values, not 3",
        ),
        (
            with_("target/api_endpoint/adapter_config", ADAPTER)
            | {"evaluation": {"tasks": [{"name": "lm-eval.ifeval"}]}},
            "target.api_endpoint.adapter_config: only eval-factory harnesses have an adapter, and "
            "lm-eval.ifeval uses lm-eval; remove one of them",
        ),
        (
            with_("target/api_endpoint/adapter_config", ADAPTER)
            | {"evaluation": {}, "benchmarks": {"b": COMMAND}},
            "target.api_endpoint.adapter_config: applies to the tasks of `evaluation`, which has "
            "none",
        ),
        (with_("target/api_endpoint/type", "completions"), "ifeval requires a chat endpoint, but"),
        (with_("evaluation/task", []), "evaluation.task: unknown key 'task'; did you mean 'tasks'"),
        (with_("evaluation/tasks", []), "evaluation.tasks: must be a list of tasks"),
        (with_("evaluation/tasks", ["ifeval"]), "evaluation.tasks.0: must hold keys and values"),
        (with_("evaluation/tasks/0/name", None), "evaluation.tasks.0.name: must be the name"),
        (with_("evaluation/tasks/0/name", "ifevl"), "no task 'ifevl' in the catalogue; did you"),
        (with_("evaluation/tasks/0/name", "mmlu.x"), "no task 'mmlu.x' in the catalogue"),
        (with_("evaluation/tasks/0/name", "humaneval_instruct"), "several harnesses have a task"),
        (with_("evaluation/tasks/0/name", "gsm8k"), "gsm8k requires a completions endpoint, but"),
        (with_("evaluation/tasks/0/image", "i"), "evaluation.tasks.0.image: unknown key 'image'"),
        (with_("evaluation/tasks/0/pre_cmd", "x"), "evaluation.tasks.0.pre_cmd: is not supported"),
        (
            with_("evaluation/tasks/0/dataset_mount_path", "/x"),
            "evaluation.tasks.0.dataset_mount_path: requires dataset_dir",
        ),
        (with_("evaluation/tasks/0/endpoint_type", "completions"), "is completions, but target"),
        (
            with_("evaluation/overrides", {"config.params.temprature": 1}),
            "evaluation.overrides.config.params.temprature: unknown key 'temprature'; did you mean "
            "'temperature'?",
        ),
        (
            with_("evaluation/overrides", {"config.extr.n": 1}),
            "evaluation.overrides.config.extr: unknown key 'extr'; did you mean 'extra'?",
        ),
        (
            with_("evaluation/overrides", {"target.api_endpoint.url": "x"}),
            "evaluation.overrides.target.api_endpoint.url: cannot differ by task; set it in the",
        ),
        (with_("config/parms", {}), "config.parms: unknown key 'parms'; did you mean 'params'?"),
        (with_("config/params", {"limit": 1}), "config.params.limit: unknown key 'limit'"),
        (with_("models", {"org-m-1": MODEL}), "models.org-m-1: has the name of the model of `tar"),
        (with_("benchmarks", {"ifeval": COMMAND}), "benchmarks.ifeval: has the name of a task of"),
    ],
)
def test_an_unsupported_key_is_an_error_that_names_it(
    tmp_path: Path, content: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        made(tmp_path, content)
    assert f"{tmp_path}/c.yaml: " in str(caught.value)
    assert sentence in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"type": "vlm"}, "deployment.type: no deployment 'vlm'; did you mean 'vllm'"),
        ({"type": "vllm_pd"}, "deployment.type: no deployment 'vllm_pd'; write type: vllm"),
        ({"type": "vllm", "imge": "x"}, "deployment.imge: unknown key 'imge'; did you mean"),
        ({"type": "vllm", "lepton_config": {"a": 1}}, "deployment.lepton_config.a: unknown key"),
        ({"type": "vllm", "endpoints": {"ranking": "/r"}}, "deployment.endpoints.ranking: unknown"),
        ({"type": "nim", "image": "i", "pre_cmd": "x"}, "deployment.pre_cmd: type nim has no comm"),
        ({"type": "sglang", "gpu_memory_utilization": 1}, "requires type vllm; remove it"),
    ],
)
def test_an_unsupported_key_of_a_deployment_is_an_error_that_names_it(
    tmp_path: Path, spec: dict[str, Any], sentence: str
) -> None:
    content = {"deployment": {"hf_model_handle": "o/m", **spec}, "evaluation": TASKS}
    with pytest.raises(ConfigError) as caught:
        made(tmp_path, content)
    assert sentence in str(caught.value)


def test_an_endpoint_and_a_deployment_together_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"target\.api_endpoint\.url: belongs to an endpoint"):
        served(tmp_path, {"type": "vllm", "hf_model_handle": "o/m"}, target=TARGET)


@pytest.mark.parametrize("value", ["sk-secret-123", "host:", "$(id)", 1, None, "lit:sk-secret-123"])
def test_a_value_instead_of_a_variables_name_is_an_error_that_hides_it(
    tmp_path: Path, value: object
) -> None:
    with pytest.raises(ConfigError) as caught:
        evaluated(tmp_path, {"name": "ifeval", "env_vars": {"HF_TOKEN": value}})
    assert "evaluation.tasks.0.env_vars.HF_TOKEN: " in str(caught.value)
    assert "host:NAME" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_error_in_a_value_names_the_launchers_key(tmp_path: Path) -> None:
    content = with_("target/api_endpoint/url", "host/chat/completions")
    with pytest.raises(
        ConfigError, match=r"c\.yaml \(target\.api_endpoint\.url\): .* is not an ht"
    ):
        made(tmp_path, content)


def test_the_nodes_of_all_instances_become_those_of_each(tmp_path: Path) -> None:
    server = {"type": "generic", "command": "serve", "image": "i", "served_model_name": "m"}
    content = {"deployment": server, "evaluation": TASKS}
    spread = ("execution=slurm/default", "execution.num_nodes=4", "execution.num_instances=2")
    read = made(tmp_path, content, *spread, "deployment=generic")
    served = next(iter(read.models.values())).deployment
    assert served is not None
    assert (served.nodes, served.instances) == (2, 2)
    uneven = (spread[0], "execution.num_nodes=3", spread[2], "deployment=generic")
    with pytest.raises(ConfigError, match="2 instances cannot share 3 nodes equally"):
        made(tmp_path, content, *uneven)


def test_sbatch_settings_become_snakevals_slurm_settings(tmp_path: Path) -> None:
    asked = {
        "account": "a", "partition": "gpu", "cpu_partition": "cpu", "walltime": "02:00:00",
        "max_walltime": "10:00:00", "gpus_per_node": 8, "sbatch_comment": "c",
        "sbatch_extra_flags": {"constraint": "h100", "contiguous": True, "x": None, "nice": 5},
    }  # fmt: skip
    content = with_("execution", asked)
    slurm = made(tmp_path, content, "execution=slurm/default").execution.slurm
    assert (slurm.account, slurm.partition, slurm.cpu_partition) == ("a", "gpu", "cpu")
    assert (slurm.walltime, slurm.max_total_walltime, slurm.gres) == (120, 600, "gpu:8")
    assert (slurm.comment, slurm.constraint) == ("c", "h100")
    assert slurm.extra_flags == "--contiguous --nice=5"


def test_lepton_settings_become_options_and_deployment_lepton(tmp_path: Path) -> None:
    config_of_lepton = {
        "resource_shape": "gpu.1xh200", "min_replicas": 1, "max_replicas": 3,
        "auto_scaler": {
            "scale_down": {"no_traffic_timeout": 3600}, "target_gpu_utilization_percentage": 80,
            "target_throughput": {"qpm": 0},
        },
        "mounts": [{"from": "node-nfs:data", "path": "/models", "mount_path": "/models"}],
    }  # fmt: skip
    server = {
        "type": "vllm", "hf_model_handle": "org/m", "served_model_name": "m",
        "lepton_config": config_of_lepton,
    }  # fmt: skip
    tasks = {
        "node_group": "g", "image_pull_secrets": ["a", "b"],
        "env_vars": {"HF_TOKEN": {"value_from": {"secret_name_ref": "MY_HF"}}},
    }  # fmt: skip
    execution = {
        "evaluation_tasks": {"resource_shape": "cpu.small", "timeout": 90},
        "lepton_platform": {"tasks": tasks, "deployment": {"node_group": "h"}},
    }
    content = {"deployment": server, "execution": execution, "evaluation": TASKS}
    read = translated(tmp_path, content, "execution=lepton/default", "deployment=vllm")
    assert (read.profile, list(read.options)) == (
        "lepton",
        ["--lepton-resource-shape", "cpu.small", "--lepton-node-group", "g",
         "--lepton-image-pull-secrets", "a b"],
    )  # fmt: skip
    made_of_it = check(read.source)
    assert made_of_it.resources.runtime is None
    (benchmark,) = made_of_it.benchmarks.values()
    assert benchmark.env == {"HF_TOKEN": "MY_HF"}
    served = next(iter(made_of_it.models.values())).deployment
    assert served is not None
    assert served.readiness_timeout == 90  # the launcher's timeout limits this wait only
    own = served.lepton
    assert (own.resource_shape, own.node_group, own.max_replicas) == ("gpu.1xh200", "h", 3)
    assert (own.no_traffic_timeout, own.target_gpu_utilization, own.target_qpm) == (3600, 80, None)
    assert own.mounts == ("node-nfs:data/models=/models",)


def test_all_keys_of_the_launchers_lepton_examples_are_honoured(tmp_path: Path) -> None:
    volume = {"from": "node-nfs:fs", "path": "/home/<me>", "mount_path": "/workspace"}
    tasks = {
        "api_tokens": [{"value_from": {"token_name_ref": "ENDPOINT_KEY"}}],
        "env_vars": {
            "HF_TOKEN": {"value_from": {"secret_name_ref": "HF"}},
            "API_KEY": {"value_from": {"secret_name_ref": "ENDPOINT_KEY"}},
        },
        "node_group": "g", "mounts": [volume, {**volume, "path": "/a b", "mount_path": "/c"}],
    }  # fmt: skip
    execution = {
        "evaluation_tasks": {"timeout": 3600},
        "lepton_platform": {
            "deployment": {
                "node_group": "h", "platform_defaults": {"image_pull_secrets": ["one", "two"]}
            },
            "tasks": tasks,
        },
    }  # fmt: skip
    own = {
        "endpoint_name": "llama", "resource_shape": "gpu.1xh200", "max_replicas": 3,
        "api_tokens": [{"value_from": {"token_name_ref": "ENDPOINT_KEY"}}],
        "auto_scaler": {
            "scale_down": {"no_traffic_timeout": 3600, "scale_from_zero": False},
            "target_throughput": {"qpm": 2.5, "paths": [], "methods": []},
        },
        "envs": {
            "OMPI_ALLOW_RUN_AS_ROOT": "1", "HF_TOKEN": {"value_from": {"secret_name_ref": "HF"}}
        },
        "mounts": {"enabled": True, "cache_path": "/cache", "mount_path": "/opt/nim/.cache"},
    }  # fmt: skip
    server = {
        "checkpoint_path": "meta-llama/Llama-3.1-8B-Instruct", "served_model_name": "m",
        "lepton_config": own,
    }  # fmt: skip
    content = {"deployment": server, "execution": execution, "evaluation": TASKS}
    read = translated(tmp_path, content, "execution=lepton/default", "deployment=vllm")
    assert read.options[-2:] == (
        "--lepton-mounts", "'node-nfs:fs/home/<me>=/workspace' 'node-nfs:fs/a b=/c'"
    )  # fmt: skip
    made_of_it = check(read.source)
    (benchmark,) = made_of_it.benchmarks.values()
    assert benchmark.env == {"HF_TOKEN": "HF", "API_KEY": "ENDPOINT_KEY"}
    served = next(iter(made_of_it.models.values())).deployment
    assert served is not None
    assert (served.hf_model_handle, served.checkpoint_path) == (server["checkpoint_path"], None)
    assert (served.env, served.set_env) == ({"HF_TOKEN": "HF"}, {"OMPI_ALLOW_RUN_AS_ROOT": "1"})
    assert served.readiness_timeout == 3600
    assert served.lepton.image_pull_secrets == ("one", "two")
    assert (served.lepton.endpoint_name, served.lepton.target_qpm) == ("llama", 2.5)
    assert served.lepton.mounts == ("node-nfs:fs/cache=/opt/nim/.cache",)


def test_the_key_of_an_endpoint_is_the_secret_that_the_variable_has_on_lepton(
    tmp_path: Path,
) -> None:
    tasks = {"env_vars": {"API_KEY": {"value_from": {"secret_name_ref": "ENDPOINT_KEY"}}}}
    content = {
        "target": {"api_endpoint": {
            "model_id": "m", "url": "https://x.example/v1/chat/completions",
            "api_key_name": "API_KEY",
        }},
        "execution": {"lepton_platform": {"tasks": tasks}}, "evaluation": TASKS,
    }  # fmt: skip
    read = translated(tmp_path, content, "execution=lepton/default")
    (model,) = check(read.source).models.values()
    assert model.endpoint is not None
    assert model.endpoint.api_key_name == "ENDPOINT_KEY"


def test_a_value_among_leptons_variables_is_an_error_that_hides_it(tmp_path: Path) -> None:
    tasks = {"env_vars": {"HF_TOKEN": "hf_secret"}}
    content = with_("execution", {"lepton_platform": {"tasks": tasks}})
    with pytest.raises(ConfigError, match=r"tasks\.env_vars\.HF_TOKEN: is a value") as refused:
        translated(tmp_path, content, "execution=lepton/default")
    assert "hf_secret" not in str(refused.value)
