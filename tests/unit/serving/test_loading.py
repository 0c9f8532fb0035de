"""A server that loads the checkpoints of a series: right weights, or a cold start."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from snakeval.serving.deployment import Deployment
from snakeval.serving.loading import Doubt, Loading, brought
from support.checkpoints import checkpoint, safetensors
from support.shared import added, swapped
from support.weights_server import BASE, Engine, content, serving


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))


class Server:
    """A server that a test starts again, and what is known of its weights."""

    def __init__(self, url: str, engine: Engine) -> None:
        self.url, self.engine = url, engine
        self.time = 0.0
        self.said: list[str] = []
        self.loading = Loading(sleep=self._sleep, clock=lambda: self.time)
        self.loading.say = self.said.append

    def _sleep(self, seconds: float) -> None:
        self.time += seconds

    def starts(self, deployment: Deployment) -> None:
        """Start the server with the weights of *deployment*, as a process that is new."""
        engine, loading = self.engine, deployment.serving.loading
        engine.cache.clear()
        engine.names = {BASE: "base weights"}
        if loading and loading.path:
            name = deployment.definition.served_model_name
            engine.names[name] = "base weights" + content(loading.path)
        else:
            engine.names[BASE] = content(deployment.weights_path)
        self.loading.start(deployment, cold=True)

    def brings(self, deployment: Deployment) -> str:
        """Return why it does not have the weights of *deployment* now, or nothing."""
        problem = brought(self.loading, self.url, deployment)
        if isinstance(problem, Doubt):
            self.loading.doubt(deployment, problem)
        return str(problem or "")

    def decides(self, deployment: Deployment) -> None:
        """Start again with the weights in doubt."""
        assert self.loading.must_restart(deployment)
        self.starts(deployment)
        assert not self.brings(deployment)
        assert not self.loading.doubted
        assert not self.loading.why_stale(self.url, deployment)


@pytest.fixture
def server() -> Iterator[Server]:
    engine = Engine()
    with serving(engine) as url:
        yield Server(url, engine)


@pytest.fixture
def full(tmp_path: Path) -> list[Deployment]:
    return [swapped(checkpoint(tmp_path / f"step-{n}", b"weights %d" % n)) for n in range(3)]


def lora(path: Path, content: bytes) -> Path:
    path.mkdir()
    (path / "adapter_config.json").write_text('{"r": 8}')
    tensors = {"a.lora_A.weight": b"random", "a.lora_B.weight": content}
    (path / "adapter_model.safetensors").write_bytes(safetensors(tensors))
    return path


@pytest.fixture
def adapters(tmp_path: Path) -> list[Deployment]:
    return [added(lora(tmp_path / f"step-{n}", b"weights %d" % n)) for n in range(3)]


# --- full weights -------------------------------------------------------------------------------


def test_weights_are_swapped_and_the_first_swap_equals_the_cold_start(
    server: Server, full: list[Deployment]
) -> None:
    server.starts(full[0])
    assert [server.brings(each) for each in (*full, full[0])] == [""] * 4
    assert server.engine.names[BASE] == content(full[0].weights_path)
    # Back to the first weights and forth once, and then once for each of the others.
    assert server.engine.asked.count("/collective_rpc") == 3 + 2
    assert not server.loading.why_stale(server.url, full[0])
    assert server.loading.why_stale(server.url, full[1]) == "its server has other weights"
    assert not server.said


@pytest.mark.parametrize("fault", ["stale", "cache", "mixed", "busy cache"])
def test_a_server_with_a_fault_serves_no_stale_weights(
    server: Server, full: list[Deployment], fault: str
) -> None:
    server.starts(full[0])
    assert not server.brings(full[0])
    server.engine.faults.add(fault)
    why = server.brings(full[1])
    assert (
        why
        == {
            "stale": "it answers the canary as with other weights",
            "cache": "its answers come from cached blocks of other weights",
            "mixed": "the first swap back does not answer as the cold start",
            "busy cache": "its prefix cache cannot be emptied",
        }[fault]
    )
    assert server.loading.why_stale(server.url, full[0]) == "its server has other weights"
    server.decides(full[1])
    assert server.said[0].startswith("the server starts again with these weights: ")
    assert server.said[1].endswith("each checkpoint is a cold start from now on")
    assert "a cold start answers otherwise" in server.brings(full[2])
    server.decides(full[2])


def test_a_cold_start_agrees_with_weights_that_answer_alike(
    server: Server, full: list[Deployment], tmp_path: Path
) -> None:
    alike = tmp_path / "alike"
    shutil.copytree(full[0].weights_path, alike)
    (alike / "training.log").write_text("another digest, but the same tensors")
    server.starts(full[0])
    twin = swapped(alike)
    assert server.brings(twin) == "it answers the canary as with other weights"
    server.decides(twin)
    assert server.said[-1].startswith("a cold start answers as the server did")
    assert not server.loading.why_cold
    assert not server.brings(full[1])


def test_weights_of_another_hand_are_noticed(server: Server, full: list[Deployment]) -> None:
    server.starts(full[0])
    assert not server.brings(full[0])
    server.engine.names[BASE] = "other weights"
    why = "its server answers the canary as with other weights"
    assert server.loading.why_stale(server.url, full[0]) == why
    assert server.brings(full[0]) == "its answers come from cached blocks of other weights"
    server.engine.cache.clear()
    server.starts(full[0])
    assert not server.brings(full[0])


def test_gone_and_changed_weights_do_not_reach_the_engine(
    server: Server, full: list[Deployment]
) -> None:
    server.starts(full[0])
    shutil.rmtree(full[1].weights_path)
    Path(full[2].weights_path, "model.safetensors").write_bytes(safetensors({"a": b"other"}))
    assert server.brings(full[1]).startswith("gone: ")
    assert "changed since the run started" in server.brings(full[2])
    assert "/collective_rpc" not in server.engine.asked
    assert not server.brings(full[0])


def test_weights_that_change_while_they_are_loaded_are_in_doubt(
    server: Server, full: list[Deployment], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.starts(full[0])
    assert not server.brings(full[0])
    replace = server.engine.replace

    def overwritten(path: str) -> None:
        Path(path, "model.safetensors").write_bytes(safetensors({"a": b"half of others"}))
        replace(path)

    monkeypatch.setattr(server.engine, "replace", overwritten)
    assert server.brings(full[1]).startswith("its weights changed while it loaded them")
    assert server.loading.must_restart(full[1])


def test_a_first_swap_without_the_first_weights_is_a_cold_start(
    server: Server, full: list[Deployment]
) -> None:
    server.starts(full[0])
    assert not server.brings(full[0])
    shutil.rmtree(full[0].weights_path)
    assert server.brings(full[1]).startswith("the first swap cannot be compared with a cold start")
    server.decides(full[1])


def test_a_server_without_a_canary_has_cold_starts(server: Server, full: list[Deployment]) -> None:
    server.engine.faults.add("mute")
    server.starts(full[0])
    assert not server.brings(full[0])
    assert not server.loading.why_stale(server.url, full[0])
    assert server.brings(full[1]).startswith("it does not answer the canary (HTTPError")
    server.decides(full[1])


# --- adapters -----------------------------------------------------------------------------------


def test_adapters_are_served_side_by_side(server: Server, adapters: list[Deployment]) -> None:
    server.starts(adapters[0])
    assert [server.brings(each) for each in (*adapters, *adapters)] == [""] * 6
    assert server.engine.asked.count("/v1/load_lora_adapter") == 2 + 1  # the first one again
    assert not any(server.loading.why_stale(server.url, each) for each in adapters)
    assert not any(map(server.loading.needs_turn, adapters))
    assert len(server.engine.names) == 1 + 3


def test_an_adapter_that_is_not_loaded_is_noticed(
    server: Server, adapters: list[Deployment]
) -> None:
    server.starts(adapters[0])
    assert not server.brings(adapters[0])
    server.engine.faults.add("stale")
    assert server.brings(adapters[1]) == "the first load does not answer as the cold start"
    assert server.loading.needs_turn(adapters[0])
    server.decides(adapters[1])


def test_an_adapter_that_changes_nothing_answers_as_its_base(
    server: Server, adapters: list[Deployment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zero = added(lora(tmp_path / "zero", b"\0" * 9))
    load = server.engine.load

    def loads(name: str, path: str) -> tuple[int, object]:
        said = load(name, path)
        if path == zero.weights_path:
            server.engine.names[name] = "base weights"
        return said

    monkeypatch.setattr(server.engine, "load", loads)
    server.starts(adapters[0])
    assert [server.brings(each) for each in (zero, adapters[1])] == ["", ""]


def test_an_adapter_that_the_server_refuses_fails_alone(
    server: Server, adapters: list[Deployment]
) -> None:
    server.starts(adapters[0])
    assert not server.brings(adapters[1])
    server.engine.faults.add("refuse")
    assert server.brings(adapters[2]).startswith("its server refuses the adapter: HTTP 404")
    assert not server.loading.doubted
    assert not server.brings(adapters[1])


def test_an_adapter_that_changes_while_it_is_loaded_is_not_served(
    server: Server, adapters: list[Deployment], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = server.engine.load

    def overwritten(name: str, path: str) -> tuple[int, object]:
        said = load(name, path)
        if path == adapters[1].weights_path:
            Path(path, "adapter_model.safetensors").write_bytes(safetensors({"b": b"others"}))
        return said

    monkeypatch.setattr(server.engine, "load", overwritten)
    server.starts(adapters[0])
    assert "changed since the run started" in server.brings(adapters[1])
    assert adapters[1].definition.served_model_name not in server.engine.names
    assert not server.brings(adapters[2])
