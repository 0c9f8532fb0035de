"""The files of a run at its start."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import yaml

from snakeval.config.load import load
from snakeval.dag import on_start
from snakeval.dag.on_start import Start
from snakeval.dag.rescoring import Rescoring
from snakeval.errors import ConfigError
from snakeval.executors import of_plugin
from snakeval.run.directory import RunDirectory
from snakeval.run.find import Run
from snakeval.serving.directory import DeploymentDirectory
from support.configs import MODEL, VALID, changed
from support.invocations import invocation, matrix, serving


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


def test_a_token_in_a_comment_stays_in_the_users_own_file(tmp_path: Path, home: Path) -> None:
    token = "hf_" + "AbCdEf123456" * 2
    text = f"# {token}\n{yaml.safe_dump(VALID)}name: n  # Bearer{token}\n"
    matrix(tmp_path, text, runtime="process").save()
    files = [path for place in (tmp_path, home) for path in place.rglob("*") if path.is_file()]
    found = [path.name for path in files if token.encode() in path.read_bytes()]
    assert found == ["c.yaml"]


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


def test_a_run_has_its_pins_before_another_command_can_find_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a copy of the configuration would compare the tags of its images with digests."""
    seen, start = [], Run.start

    def recorded(run: Run, ids: Iterable[str] = ()) -> None:
        seen.append(run.directory.pins.exists())
        start(run, ids)

    monkeypatch.setattr(Run, "start", recorded)
    matrix(tmp_path, runtime="process").save()
    assert seen == [True]


class Elsewhere:
    """An executor whose jobs may have no gateway."""

    title, has_gateways = "Lepton", False

    def checks(self, intent: object) -> list[object]:
        return []


def test_stored_answers_are_scored_only_where_a_gateway_has_them(tmp_path: Path) -> None:
    assert not of_plugin("lepton").has_gateways
    assert of_plugin("slurm-resume").has_gateways
    executor = cast(Any, Elsewhere())
    ordinary = invocation(tmp_path)
    Start(ordinary, cast(Any, None), False, executor)._check_executor()
    offline = Start(invocation(tmp_path, offline=True), cast(Any, None), False, executor)
    with pytest.raises(ConfigError, match=r"^Lepton jobs may run without a gateway"):
        offline._check_executor()


def test_another_image_never_becomes_a_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench: dict[str, Any] = {"harness": "lm-eval", "task": "gsm8k", "image": "mine:1"}
    content = {"models": {"m": MODEL}, "benchmarks": {"b": bench}}
    made = invocation(tmp_path, content)
    monkeypatch.setattr(made, "rescoring", Rescoring(str(made.directory.path)))
    start = Start(made, cast(Any, None), False, cast(Any, None))
    why = "runtime: process (docker has no image mine:1)"
    for isolated, remote in ((True, False), (False, True), (False, False)):
        runtime = SimpleNamespace(isolated=isolated)
        monkeypatch.setattr(on_start, "choose", lambda *of, runtime=runtime: (runtime, why))
        if isolated or remote:
            replace(start, remote=remote)._check_images()
            continue
        with pytest.raises(ConfigError, match=r"^m/b: mine:1 would not run: .* mine:1\); pull it"):
            replace(start, remote=remote)._check_images()
