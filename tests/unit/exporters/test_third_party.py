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

from support.limits import HUNG
from support.made import Made, snakeval
from support.packages import importable
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


def exported(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(filter(None, [str(place), os.environ.get("PYTHONPATH", "")]))
    return subprocess.run(
        [sys.executable, "-m", "snakeval", "export", "0123", "--dest", "webhook", *words],
        env={**os.environ, "PYTHONPATH": path, "WEBHOOK_TOKEN": TOKEN},
        capture_output=True, text=True, timeout=HUNG, check=False,
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


@pytest.fixture
def here(installed: Path) -> Iterator[None]:
    """Have the example installed in this process."""
    with importable(installed):
        yield


@pytest.mark.usefixtures("here")
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
    run: Made, service: tuple[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], words: list[str], token: str, code: int, sentence: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("WEBHOOK_TOKEN", token)
    words = [word.replace("URL", service[0]) for word in words]
    done = snakeval(capsys, "export", "0123", "--dest", "webhook", *words)
    assert (done.exit_code, sentence in done.err) == (code, True), done.err
    assert "Traceback" not in done.err


@pytest.mark.usefixtures("here")
def test_a_package_that_cannot_be_imported_is_one_sentence(
    run: Made, installed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (installed / "snakeval_webhook.py").write_text("import no_such_library")
    done = snakeval(capsys, "export", "0123", "--dest", "webhook", "--set", "url=x")
    assert done.exit_code == 2
    assert "webhook: snakeval_webhook:Webhook cannot be imported (No module named" in done.err


@pytest.mark.usefixtures("here")
def test_its_name_is_suggested_for_a_misspelt_one(
    run: Made, capsys: pytest.CaptureFixture[str]
) -> None:
    done = snakeval(capsys, "export", "0123", "--dest", "webhok")
    assert "webhok: no such destination; did you mean 'webhook'?" in done.err
