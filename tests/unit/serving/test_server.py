"""A server that ends while its health is asked for has ended, which the pool must see."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.config import models
from snakeval.serving.directory import DeploymentDirectory
from snakeval.serving.nodes import Place
from snakeval.serving.probe import Health
from snakeval.serving.resolve import resolve
from snakeval.serving.server import Server
from snakeval.serving.vigil import Patience, Vigil


def test_a_check_never_revives_a_server_that_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    server = Server(
        resolve("m", models.Deployment(kind="generic", command="serve"), "host"),
        Place(()),
        DeploymentDirectory(tmp_path / "deployment"),
        {},
        set,
        lambda: seen.append(server.state),
        patience=Patience(wrong=1, pause=0.0),
    )

    def dies(seconds: float) -> Health:
        server._tell(state="ended", reason="killed")  # by the thread that ran the process
        return Health("connection refused")

    server.state, server._vigil = "ready", Vigil(dies, 0, 1.0)
    monkeypatch.setattr(server, "_examine", dies)
    assert server.check()
    assert seen == ["ended", "ended"], "the pool would wait for its end forever"
    assert server.reason == "killed"
