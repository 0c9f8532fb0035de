"""`snakeval doctor`: each check is ok, or says what to do."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from snakeval.cli import doctor
from snakeval.serving import client
from support.configs import COMMAND, VALID, changed, write
from support.made import snakeval
from support.packages import example, package
from support.standing import CHAT, Said, standing

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without engine, cluster, GPU or profiles, and a directory without anything."""
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("LEPTON_CACHE_DIR", str(tmp_path / "lepton"))
    monkeypatch.delenv("LEPTON_WORKSPACE_ID", raising=False)
    monkeypatch.delenv("SNAKEVAL_GPUS", raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checks(capsys: Capture, *words: str, exit_code: int = 0) -> dict[str, dict[str, Any]]:
    said = snakeval(capsys, "doctor", "--json", *words)
    assert said.exit_code == exit_code, said.out + said.err
    return {row["what"]: row for row in json.loads(said.out)}


def command(directory: Path, name: str, script: str) -> None:
    path = directory / "bin" / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def test_optional_tools_may_be_absent(capsys: Capture) -> None:
    found = checks(capsys)
    assert found["snakemake"]["state"] == "ok"
    assert found["runtime process"]["state"] == "ok"
    for what in ("runtime docker", "runtime podman", "cluster", "GPUs", "profiles"):
        assert found[what]["state"] == "no", what
        assert found[what]["to do"], what
    assert found["configuration"]["to do"] == "`snakeval init` makes one"


def test_people_get_a_table(capsys: Capture) -> None:
    said = snakeval(capsys, "doctor")
    assert said.out.splitlines()[0].split() == ["what", "state", "found", "to", "do"]


def test_a_runtime_that_the_configuration_names_must_answer(bare: Path, capsys: Capture) -> None:
    (bare / "config").mkdir()
    write(bare / "config", {**VALID, "runtime": "podman"} | _with_image(), "config.yaml")
    assert checks(capsys, exit_code=1)["runtime podman"]["state"] == "wrong"


def _with_image() -> dict[str, Any]:
    return {"benchmarks": {"b": {**VALID["benchmarks"]["b"], "image": "i"}}}


def test_credentials_are_set_or_to_be_exported_and_never_shown(
    bare: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(bare, changed("models", "m", "endpoint", "api_key_name", to="MY_KEY"))
    monkeypatch.delenv("MY_KEY", raising=False)
    key = checks(capsys, "--config", str(path), exit_code=1)["$MY_KEY"]
    assert (key["state"], key["found"], key["to do"]) == (
        "wrong",
        "is not set, for models.m",
        "export MY_KEY=…",
    )
    monkeypatch.setenv("MY_KEY", "sk-secret")
    with standing({"POST /v1/chat/completions": (200, CHAT)}) as server:
        endpoint = {"url": f"{server.url}/v1", "model_id": "m", "api_key_name": "MY_KEY"}
        path = write(bare, changed("models", "m", "endpoint", to=endpoint))
        assert checks(capsys, "--config", str(path))["$MY_KEY"]["state"] == "ok"
        assert "sk-secret" not in snakeval(capsys, "doctor", "--config", str(path)).out


def test_endpoints_are_asked_and_a_wrong_one_is_reported(bare: Path, capsys: Capture) -> None:
    listed = {"data": [{"id": "m"}, {"id": "n"}]}
    answers: dict[str, Said] = {"GET /v1/models": (200, listed)}
    with standing(answers) as server:
        endpoint = {"url": f"{server.url}/v1", "model_id": "m"}
        asks = COMMAND | {"command": "ask {{ url }}"}
        content = {"models": {"m": {"endpoint": endpoint}}, "benchmarks": {"b": asks}}
        path = write(bare, content)
        found = checks(capsys, "--config", str(path), exit_code=1)["endpoint of models.m"]
        assert found["state"] == "wrong"
        assert found["found"].startswith("the endpoint refuses the request (HTTP 404): Not Found")
        answers["POST /v1/chat/completions"] = (200, CHAT)
        found = checks(capsys, "--config", str(path))["endpoint of models.m"]
        assert (found["state"], found["found"]) == (
            "ok",
            f"{server.url}/v1 answers, lists 2 models",
        )
        answers["POST /v1/chat/completions"] = (503, {})
        assert checks(capsys, "--config", str(path))["endpoint of models.m"]["state"] == "no"


def test_a_task_that_no_harness_has_is_reported(bare: Path, capsys: Capture) -> None:
    path = write(bare, changed("benchmarks", "b", to={"task": "no_such_task_at_all"}))
    found = checks(capsys, "--config", str(path), exit_code=1)["evaluations"]
    assert "no_such_task_at_all" in found["found"]


def test_the_wrong_key_of_a_configuration_is_reported(bare: Path, capsys: Capture) -> None:
    path = write(bare, changed("models", "m", "endpoint", "url", to="host"))
    wrong = checks(capsys, "--config", str(path), exit_code=1)["configuration"]
    assert "models.m.endpoint.url" in wrong["found"]


def test_too_little_room_is_reported(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_ROOM_BYTES", 2**60)
    home = checks(capsys, exit_code=1)["$SNAKEVAL_HOME"]
    assert home["state"] == "wrong"
    assert home["to do"].startswith("free some")


def test_a_directory_that_is_a_file_is_reported(bare: Path, capsys: Capture) -> None:
    (bare / "home").write_text("")
    assert "is a file" in checks(capsys, exit_code=1)["$SNAKEVAL_HOME"]["found"]


def test_a_cluster_is_reported_with_its_nodes(
    bare: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    command(bare, "sbatch", "")
    command(bare, "sinfo", '[ "$1" = --version ] && echo slurm 22.05 || echo "batch 0/4/0/4"')
    cluster = checks(capsys)["cluster"]
    assert (cluster["state"], cluster["found"]) == ("ok", "slurm 22.05: batch 0/4/0/4")
    assert cluster["to do"] == ""
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: None if name.endswith("_slurm") else real(name)
    )
    assert "pip install 'snakeval[slurm]'" in checks(capsys)["cluster"]["to do"]
    command(bare, "sinfo", "echo 'Unable to contact slurm controller' >&2; exit 1")
    assert "Unable to contact slurm controller" in checks(capsys)["cluster"]["found"]


def test_gpus_are_those_that_the_pool_shares_out(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3")
    assert checks(capsys)["GPUs"]["found"] == "2: 0, 3"


def test_models_that_are_served_now_are_named(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checks(capsys)["served models"]["found"] == "none now"
    servers = [{"model": "llama", "state": "ready", "gpus": ["0"]}]
    monkeypatch.setattr(client, "status", lambda: {"servers": servers})
    assert checks(capsys)["served models"]["found"] == "llama (ready, GPU 0)"


def test_what_other_packages_add_is_listed_and_imported(capsys: Capture, bare: Path) -> None:
    with example(bare / "site"):
        found = checks(capsys)
    for what in ("harness questions", "deployment kind parrot", "exporter lines", "runtime nice"):
        assert (found[what]["state"], found[what]["found"]) == ("ok", "snakeval-example 1.0")
    spool = found["spool"]
    assert (spool["state"], spool["found"]) == ("ok", "jobs are processes of this machine")


@pytest.mark.parametrize(("used", "state"), [(True, "wrong"), (False, "no")])
def test_a_package_that_cannot_be_imported_is_wrong_if_the_configuration_uses_it(
    capsys: Capture, bare: Path, used: bool, state: str
) -> None:
    points = {"snakeval.exporters": {"post": "torn:Post"}}
    path = write(bare, changed("export", to={"post": {}}) if used else VALID)
    with package(bare / "site", points, {"torn.py": "import no_such_module\n"}, "torn"):
        found = checks(capsys, "--config", str(path), exit_code=int(used))["exporter post"]
    assert (found["state"], found["to do"]) == (state, "fix the package that provides it")
    assert "torn:Post cannot be imported" in found["found"]


def test_a_server_kind_that_cannot_be_imported_is_an_error_of_the_configuration(
    capsys: Capture, bare: Path
) -> None:
    points = {"snakeval.deployments": {"torn": "torn:KIND"}}
    path = write(bare, changed("models", "m", to={"deployment": {"kind": "torn"}}))
    with package(bare / "site", points, {"torn.py": "import no_such_module\n"}, "torn"):
        found = checks(capsys, "--config", str(path), exit_code=1)["configuration"]
    assert "models.m.deployment.kind: torn: torn:KIND cannot be imported" in found["found"]
    assert found["to do"] == "fix the package that provides it"
