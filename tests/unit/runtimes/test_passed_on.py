"""Which variables of this machine harnesses get, and which a process must not see."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.errors import EvaluationError
from snakeval.runtimes.passed_on import folders, is_optional, passed_on, withheld

HUB = {
    "HF_TOKEN": "t",
    "HF_ENDPOINT": "http://mirror",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "https_proxy": "http://proxy:3128",
    "NO_PROXY": "localhost",
}


def test_variables_of_the_hub_and_proxies_reach_everything() -> None:
    others = {"HF_HOME": "/x", "HF_DATASETS_CACHE": "/y", "MY_KEY": "k", "HF_TOKENS": "x"}
    assert passed_on(HUB | others) == {name: name for name in HUB}
    assert all(map(is_optional, HUB))
    assert not any(map(is_optional, others.keys() - {"HF_DATASETS_CACHE"}))


def test_what_the_configuration_sets_is_not_passed_on() -> None:
    assert "HF_TOKEN" not in passed_on(HUB, {"HF_TOKEN": "other"})


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:3128", "localhost:3128", "http://[::1]:1"])
def test_a_bridged_container_gets_no_proxy_of_this_machine(proxy: str) -> None:
    there = {"http_proxy": proxy, "https_proxy": "http://proxy:1"}
    assert set(passed_on(there)) == {"http_proxy", "https_proxy"}
    assert set(passed_on(there, bridged=True)) == {"https_proxy"}


def test_directories_of_the_hub_are_mounts(tmp_path: Path) -> None:
    there = {
        "HF_HOME": str(tmp_path / "hub"),
        "HF_DATASETS_CACHE": str(tmp_path / "data"),
        "HF_HUB_CACHE": "relative",
    }
    mounts, env = folders(there)
    assert env == {
        "HF_DATASETS_CACHE": "/mnt/snakeval/hf_datasets_cache",
        "HF_HOME": "/mnt/snakeval/hf_home",
    }
    assert [(m.source, m.target, m.read_only) for m in mounts] == [
        (str(tmp_path / "data"), env["HF_DATASETS_CACHE"], False),
        (str(tmp_path / "hub"), env["HF_HOME"], False),
    ]
    assert (tmp_path / "hub").is_dir()
    assert folders(there, {"HF_HOME", "HF_DATASETS_CACHE"}) == ([], {})


def test_a_directory_that_cannot_be_created_is_named_by_its_variable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvaluationError, match=r"^\$HF_HOME: .*/file/hub cannot be created \("):
        folders({"HF_HOME": str(tmp_path / "file" / "hub")})


SECRETS = {
    "OPENAI_API_KEY": "x",
    "API_KEY_2": "x",
    "AWS_SECRET_ACCESS_KEY": "x",
    "GITHUB_TOKEN": "x",
    "MLFLOW_TRACKING_PASSWORD": "x",
    "GOOGLE_APPLICATION_CREDENTIALS": "/x.json",
    "MINE": "hf_" + "AbCdEf123456AbCdEf",
}
PLAIN = {
    "PATH": "/bin",
    "TOKENIZERS_PARALLELISM": "false",
    "KEYMAP": "us",
    "XAUTHORITY": "/x",
    "MONKEY": "x",
    "HF_HOME": "/x",
}


def test_a_process_inherits_no_secrets_and_no_other_model_s_key() -> None:
    there = SECRETS | PLAIN | HUB | {"OTHER": "x"}
    assert withheld(there, ["OTHER"]) == SECRETS.keys() | {"OTHER"}


def test_a_process_keeps_the_keys_of_the_models_that_it_asks() -> None:
    kept = withheld(SECRETS, ["OPENAI_API_KEY", "API_KEY_2"], {"OPENAI_API_KEY"})
    assert kept == SECRETS.keys() - {"OPENAI_API_KEY"}


def test_only_a_name_lets_a_secret_through() -> None:
    assert withheld(SECRETS, inherit=["*", "GITHUB_TOKEN"]) == SECRETS.keys() - {"GITHUB_TOKEN"}
    assert withheld(SECRETS, inherit=["G*"]) == SECRETS.keys()


def test_a_list_leaves_out_the_rest_except_what_each_process_requires() -> None:
    there = PLAIN | HUB | {"MY_A": "x", "LC_ALL": "C", "CUDA_VISIBLE_DEVICES": "0"}
    gone = {"TOKENIZERS_PARALLELISM", "KEYMAP", "XAUTHORITY", "MONKEY"}
    assert withheld(there, inherit=["MY_*"]) == gone
    assert withheld(there, inherit=[]) == gone | {"MY_A"}
