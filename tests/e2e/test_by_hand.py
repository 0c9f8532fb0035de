"""`run.sh` and `run_all.sh` give the same artifacts by hand, beside the published ones."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from support import standins
from support.workspace import Workspace

KEY = """it's "a" $(touch executed) `touch executed` \\ $HOME ; & | canary\nsecond canary"""
#: The harness says what it got without repeating it.
#: No server is there.
NOT_ASKED = ("--config", "preflight=false")
COMMAND = """
hash=$(printf %s "$API_KEY" | sha256sum | cut -d' ' -f1)
model=$(printf %s {{ model_id }} | sha256sum | cut -d' ' -f1)
echo '{"score": 1, "key": "'$hash'", "model": "'$model'"}' > {{ results }}/score.json
"""


@pytest.fixture(
    params=[
        pytest.param("docker", marks=pytest.mark.docker),
        pytest.param("podman", marks=pytest.mark.podman),
        pytest.param("apptainer", marks=[pytest.mark.docker, pytest.mark.root]),
        "process",
    ]
)
def work(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Workspace:
    monkeypatch.setenv("CANARY", KEY)
    if request.param == "apptainer":
        monkeypatch.setenv("PATH", standins.path())
    directory = tmp_path / "it's a ü $(place)"
    directory.mkdir()
    work = Workspace(directory, tmp_path / "home")
    endpoint = {
        "url": "http://127.0.0.1:1/v1", "model_id": """a 'b' "c" $(d)""", "api_key_name": "CANARY",
    }  # fmt: skip
    benchmark = {
        "harness": "generic",
        "image": "snakeval-testbed/busybox:latest",
        "command": COMMAND,
        "metrics": {"file": "score.json", "values": {"score": "score"}},
    }
    work.config = {
        "runtime": request.param,
        "ledger": "off",  # the ledger's gateway keeps the key, and the harness gets a token
        "models": {"m": {"endpoint": endpoint}},
        "benchmarks": {"b": benchmark},
    }
    return work


def holds_the_secret(directory: Path) -> list[Path]:
    return [
        path
        for path in directory.rglob("*")
        if path.is_file() and b"canary" in path.read_bytes() and path.name != "score.json"
    ]


def test_by_hand_the_harness_gets_the_same_and_the_secret_is_written_nowhere(
    work: Workspace,
) -> None:
    done = work.snakemake(*NOT_ASKED)
    assert done.exit_code == 0, done.output
    score = work.run / "m/b/artifacts/score.json"
    by_snakeval = score.read_text()
    assert hashlib.sha256(KEY.encode()).hexdigest() in by_snakeval
    assert "canary" not in done.output

    scripts = [work.run / "m/b/run.sh", work.run / "run_all.sh"]
    of_hand = work.run / "m/b/by-hand/score.json"
    score.write_text("published")
    for script in scripts:
        shutil.rmtree(of_hand.parent, ignore_errors=True)
        by_hand = subprocess.run(
            ["bash", script], cwd="/", env=work.environment, capture_output=True, text=True
        )
        assert by_hand.returncode == 0, by_hand.stderr
        assert of_hand.read_text() == by_snakeval
    assert score.read_text() == "published"
    assert holds_the_secret(work.directory) == []
    assert holds_the_secret(work.home) == []
    assert not list(work.directory.parent.rglob("executed"))
    if shellcheck := shutil.which("shellcheck"):
        # Not its remark that $ stands in single quotes: that is the point.
        subprocess.run([shellcheck, "--severity", "warning", *scripts], check=True)


def test_by_hand_an_unset_variable_is_named(
    work: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert work.snakemake(*NOT_ASKED).exit_code == 0
    monkeypatch.delenv("CANARY")
    by_hand = subprocess.run(
        ["bash", work.run / "m/b/run.sh"], env=work.environment, capture_output=True, text=True
    )
    assert by_hand.returncode != 0
    assert "CANARY: set it to the value that the endpoint" in by_hand.stderr
