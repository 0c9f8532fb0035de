"""A llama.cpp model without an image: the `llama-server` of the PATH serves it."""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from pathlib import Path

import pytest

from support.limits import HUNG
from support.machine import made, pool_here, port_of

#: Takes the options of llama-server that snakeval gives, and fails for others.
STAND_IN = f"""#!{sys.executable}
import argparse, os, sys
parser = argparse.ArgumentParser()
for option in ("model", "host", "port", "alias"):
    parser.add_argument(f"--{{option}}", required=True)
given = parser.parse_args()
assert os.path.exists(given.model), given.model
options = ["--host", given.host, "--port", given.port, "--models", given.alias]
os.execv(sys.executable, [sys.executable, "-m", "snakeval.demo.server", *options])
"""


def test_the_llama_server_of_the_path_serves_a_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs, weights = tmp_path / "bin", tmp_path / "model.gguf"
    programs.mkdir()
    (programs / "llama-server").write_text(STAND_IN)
    (programs / "llama-server").chmod(0o755)
    weights.write_text("")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with made(tmp_path, monkeypatch) as machine, pool_here():
        machine.deploys(
            "m", "m/b", kind="llamacpp", command=None, checkpoint_path=str(weights),
            served_model_name="careful",
        )  # fmt: skip
        with machine.serve("m") as servers:
            url = f"http://127.0.0.1:{port_of(servers['m'])}/v1/models"
            with urllib.request.urlopen(url, timeout=HUNG) as answer:
                assert [model["id"] for model in json.load(answer)["data"]] == ["careful"]
