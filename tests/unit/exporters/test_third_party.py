"""The worked example of docs/exporters.md, installed as a package of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from support.made import Made
from support.workspace import REPOSITORY

TOKEN = "t0ken"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A directory for the import path, with the example's module and metadata, as pip leaves it."""
    page = (REPOSITORY / "docs" / "exporters.md").read_text()
    blocks = dict(re.findall(r"<!-- example: (\S+) -->\n```\w+\n(.*?)```", page, re.DOTALL))
    project = tomllib.loads(blocks["pyproject.toml"])["project"]
    place = tmp_path / "site-packages"
    metadata = place / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    metadata.mkdir(parents=True)
    (place / "snakeval_webhook.py").write_text(blocks["snakeval_webhook.py"])
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    lines = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()))
    ]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return place


@pytest.fixture
def service() -> Iterator[tuple[str, dict[str, Any]]]:
    """A web service that takes what is put, and what it holds."""
    holds: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
            if allowed:
                holds[self.path] = json.loads(body)
            self.send_response(200 if allowed else 403)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words: object) -> None:
            """Say nothing."""

    listener = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listener.server_port}", holds
    listener.shutdown()
    listener.server_close()


def exported(
    place: Path, *words: str, token: str = TOKEN, dest: str = "webhook"
) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(place), os.environ.get("PYTHONPATH", "")]))
    return subprocess.run(
        [sys.executable, "-m", "snakeval", "export", "0123", "--dest", dest, *words],
        env={**os.environ, "PYTHONPATH": path, "WEBHOOK_TOKEN": token},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_third_party_exporter_sends_and_creates_no_duplicate(
    run: Made, installed: Path, service: tuple[str, dict[str, Any]]
) -> None:
    url, holds = service
    for _ in range(2):
        done = exported(installed, "--set", f"url={url}", "--tag", "team=nlp")
        assert done.returncode == 0, done.stderr
    key = f"/{run.path.name}/m/good"
    assert set(holds) == {key, f"/{run.path.name}/m/bad", f"/{run.path.name}/m/to_do"}
    assert holds[key]["scores"]["good/acc"] == 0.1234567890123456
    assert holds[key]["tags"] == {"team": "nlp"}
    assert f"webhook: m/good is {url}{key}" in done.stdout


@pytest.mark.parametrize(
    ("words", "token", "code", "sentence"),
    [
        ([], TOKEN, 2, "webhook: 'url' is missing; add it"),
        (["--set", "ulr=x"], TOKEN, 2, "webhook.ulr: unknown key 'ulr'; did you mean 'url'?"),
        (["--set", "url=URL"], "", 1, "did not arrive (0 did): no credentials; export WEBHOOK"),
        (["--set", "url=URL"], "no", 1, "did not arrive (0 did): the service says 403"),
    ],
)
def test_its_options_and_errors_look_like_built_in_ones(
    run: Made, installed: Path, service: tuple[str, dict[str, Any]],
    words: list[str], token: str, code: int, sentence: str,
) -> None:  # fmt: skip
    words = [word.replace("URL", service[0]) for word in words]
    done = exported(installed, *words, token=token)
    assert (done.returncode, sentence in done.stderr) == (code, True), done.stderr
    assert "Traceback" not in done.stderr


def test_a_package_that_cannot_be_imported_is_one_sentence(run: Made, installed: Path) -> None:
    (installed / "snakeval_webhook.py").write_text("import no_such_library")
    done = exported(installed, "--set", "url=x")
    assert done.returncode == 2
    assert "webhook: snakeval_webhook:Webhook cannot be imported (No module named" in done.stderr


def test_its_name_is_suggested_for_a_misspelt_one(run: Made, installed: Path) -> None:
    done = exported(installed, dest="webhok")
    assert "webhok: no such destination; did you mean 'webhook'?" in done.stderr
