"""The requests that load weights into an engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.errors import EvaluationError
from snakeval.serving import engine
from snakeval.serving.engine import EngineError
from support.checkpoints import adapter, checkpoint
from support.shared import added, swapped
from support.weights_server import BASE, Engine, content, serving


def test_an_adapter_is_loaded_and_unloaded(tmp_path: Path) -> None:
    deployment = added(adapter(tmp_path / "step-1"))
    server = Engine("base")
    with serving(server) as url:
        engine.load(url, deployment, "one")
        assert server.names["one"] == "base" + content(tmp_path / "step-1")
        with pytest.raises(EvaluationError, match="refuses the adapter: HTTP 400: 'one' has"):
            engine.load(url, deployment, "one")
        engine.unload(url, deployment, "one")
        assert "one" not in server.names
    engine.unload(url, deployment, "one")  # the server has ended, and with it the adapter
    with pytest.raises(EngineError, match="refused"):
        engine.load(url, deployment, "one")


def test_weights_are_replaced(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "step-1")
    server = Engine("base")
    with serving(server) as url:
        engine.reload(url, swapped(path).weights_path)
        assert server.names[BASE] == content(path)
        assert engine.has_emptied_cache(url)
        server.faults.add("busy cache")
        assert not engine.has_emptied_cache(url)
    for ask in (lambda: engine.reload(url, str(path)), lambda: engine.has_emptied_cache(url)):
        with pytest.raises(EngineError, match="refused"):
            ask()
