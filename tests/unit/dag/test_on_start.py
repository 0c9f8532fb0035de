"""The files of a run at its start."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.config.load import load
from snakeval.run.directory import RunDirectory
from snakeval.serving.directory import DeploymentDirectory
from support.configs import changed
from support.invocations import matrix, serving


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path_factory.mktemp("home") / "snakeval"
    monkeypatch.setenv("SNAKEVAL_HOME", str(place))
    return place


def test_a_start_saves_the_plan_and_scripts_and_no_secret(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "sk-canary")
    content = changed("models", "m", "endpoint", "api_key_name", to="MY_KEY")
    opened = matrix(tmp_path, content, runtime="process")
    opened.save()
    run = Path(opened.run)
    (evaluation,) = opened.invocation.everything
    assert RunDirectory(run).evaluation(evaluation.id).spec.exists()
    for name in ("config.yaml", "run_all.sh", "m/b/run.sh", ".snakeval/plan.json"):
        assert (run / name).exists(), name
    (saved,) = (home / "run_configs").iterdir()
    assert saved.read_bytes() == (run / "config.yaml").read_bytes()
    files = [path for place in (tmp_path, home) for path in place.rglob("*") if path.is_file()]
    assert not [path for path in files if b"sk-canary" in path.read_bytes()]

    # The index and the note of the head say when a run was started last.
    times = (home / "runs", run / ".snakeval/heads")
    before = {path: path.stat().st_mtime_ns for path in files if path.parent not in times}
    matrix(tmp_path, content, runtime="process").save()
    assert {path: path.stat().st_mtime_ns for path in before if path.name != "c.yaml"} == {
        path: time for path, time in before.items() if path.name != "c.yaml"
    }


def test_a_harness_by_hand_writes_beside_the_published_artifacts(tmp_path: Path) -> None:
    opened = matrix(tmp_path, runtime="process")
    opened.save()
    script = (Path(opened.run) / "m/b/run.sh").read_text()
    assert f"{Path(opened.run).resolve()}/m/b/by-hand" in script
    assert "artifacts/" not in script
    assert "m/b/artifacts" not in script


def test_the_saved_configuration_loads_as_the_same(tmp_path: Path) -> None:
    opened = matrix(tmp_path, runtime="process")
    opened.save()
    again, _, _ = load([Path(opened.run) / "config.yaml"])
    assert again == opened.invocation.config


def test_deployments_are_saved_in_the_order_of_loading(tmp_path: Path) -> None:
    opened = matrix(tmp_path, serving())
    opened.save()
    plans = sorted(DeploymentDirectory.plans(RunDirectory(opened.run)), key=lambda plan: plan.rank)
    assert [plan.name for plan in plans] == ["m", "n", "judge"]
    fingerprints = {
        evaluation.id: evaluation.fingerprint for evaluation in opened.invocation.everything
    }
    assert dict(plans[0].evaluations) == {id: fingerprints[id] for id in ("m/b", "m/c")}
    assert dict(plans[2].evaluations) == fingerprints


def test_a_start_whose_claim_another_command_withdrew_and_a_third_one_took_fails(
    tmp_path: Path,
) -> None:
    late, third = (matrix(tmp_path, runtime="process") for _ in range(2))
    third.invocation.reserved()
    with pytest.raises(SystemExit, match=f"starts run {third.invocation.run.id}; run the same"):
        late.save()
    assert not Path(late.run).exists()
    third.save()
    assert Path(third.run).exists()
