"""The tutorials and the README work as printed: each command of a `console` block, and its output.

`make tutorials` runs this file. `make test` does not: it takes minutes, and each case of it has a
quicker test.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest
from standin import StandIn

from snakeval.demo.server import serve
from support.consoles import Reader, blocks
from support.workspace import REPOSITORY

TUTORIALS = REPOSITORY / "docs/tutorials"
#: Pages without a console: vLLM requires a GPU, or minutes to load a model on a CPU.
WITHOUT = {"index.md", "vllm.md"}
#: An image with Python, of tests/testbed/images.sh.
IMAGE = "snakeval-testbed/python:3.11-slim"
#: The demo's server, as an endpoint of Lepton's stand-in.
SERVED = f"""kind: generic
      image: {IMAGE}
      command: >-
        exec python3 -m snakeval.demo.server --host {{{{ host }}}} --port {{{{ port }}}}
        --models {{{{ served_model_name }}}}
      served_model_name: careful
      set_env: {{PYTHONPATH: /demo}}
      lepton: {{mounts: ["node-nfs:shared/demo=/demo:ro"]}}"""
#: A benchmark of one question, in a container of the stand-in.
ASKED = f"""
  NAME:
    harness: generic
    image: {IMAGE}
    command: |
      python3 - {{{{ url }}}} {{{{ model_id }}}} > {{{{ results }}}}/quiz.json <<'PYTHON'
      import json, os, sys, urllib.request
      url, model = sys.argv[1:]
      body = {{"model": model, "messages": [{{"role": "user", "content": "What is 21 + 21?"}}]}}
      headers = {{"Content-Type": "application/json"}}
      headers["Authorization"] = "Bearer " + os.environ.get("API_KEY", "")
      with urllib.request.urlopen(
          urllib.request.Request(url, json.dumps(body).encode(), headers)
      ) as answer:
          print(json.dumps({{"accuracy": float("42" in answer.read().decode())}}))
      PYTHON
    metrics: {{file: quiz.json, values: {{accuracy: accuracy}}}}"""


def follow(page: Path, directory: Path, replaced: Mapping[str, str] = MappingProxyType({})) -> None:
    """Type a page in an empty home; *replaced* is what this machine lacks."""
    binaries = f"{REPOSITORY}/.venv/bin:{os.environ['PATH']}"
    home = {"HOME": str(directory), "SNAKEVAL_HOME": str(directory / "home"), "PATH": binaries}
    with serve() as server:
        places = {"http://localhost:8000": server.url, "/home/me/training": "CWD"}
        Reader(directory, {**os.environ, **home}).follow(page, {**places, **replaced})


def test_each_page_with_a_console_is_followed() -> None:
    pages = [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")]
    found = {page for page in pages if any(block.kind == "console" for block in blocks(page))}
    tutorials = {page for page in TUTORIALS.glob("*.md") if page.name not in WITHOUT}
    assert found == {REPOSITORY / "README.md", *tutorials}


def test_the_readme_works_as_it_is_printed(tmp_path: Path) -> None:
    follow(REPOSITORY / "README.md", tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        *("endpoint.md", "gate.md", "checkpoints.md"),
        pytest.param("slurm.md", marks=pytest.mark.slurm),
    ],
)
def test_a_tutorial_works_as_it_is_printed(name: str, tmp_path: Path) -> None:
    follow(TUTORIALS / name, tmp_path)


@pytest.mark.images
def test_the_tutorial_of_own_benchmarks_works_with_an_image_for_the_one_that_it_names(
    tmp_path: Path,
) -> None:
    follow(TUTORIALS / "benchmark.md", tmp_path, {"registry.example.com/mine:1.0": IMAGE})


@pytest.mark.images
def test_the_tutorial_of_lepton_works_with_the_demo_as_the_model(tmp_path: Path) -> None:
    with StandIn("docker") as standin:
        workspace = standin.workspace
        demo = workspace.volume("node-nfs:shared") / "demo"
        shutil.copytree(REPOSITORY / "workflow/snakeval", demo / "snakeval")
        login = f"{workspace.id}:{workspace.token} -u {standin.url}"
        benchmarks = "".join(ASKED.replace("NAME", name) for name in ("ifeval", "gsm8k"))
        replaced = {
            "WORKSPACE:TOKEN": login,
            "kind: vllm\n      hf_model_handle: Qwen/Qwen3-4B-Instruct-2507": SERVED,
            " [lm-evaluation-harness.ifeval, lm-evaluation-harness.gsm8k_cot_instruct]": benchmarks,
        }
        follow(TUTORIALS / "lepton.md", tmp_path, replaced)
