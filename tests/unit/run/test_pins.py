"""Images are resolved to digests and models of a hub to commits, by real requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from snakeval.run.pins import (
    Pin,
    Pins,
    key_of,
    pinned_name,
    resolve_all,
    resolve_image,
    resolve_model,
    why_not_pulled,
)

DIGEST = "sha256:" + "a" * 64


class Answers(BaseHTTPRequestHandler):
    """A registry, and a hub with one model."""

    asked: list[tuple[str, str]]

    def do_HEAD(self) -> None:
        self.asked.append((self.path, self.headers.get("Accept", "")))
        name = self.path.removeprefix("/v2/").partition("/manifests/")[0]
        if name in ("team/tool", "tool"):
            self.send_response(200)
            self.send_header("Docker-Content-Digest", DIGEST)
        elif name == "strange":
            self.send_response(200)
        elif name == "private":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="here"')
        else:
            self.send_response(404)
        self.end_headers()

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization", "")))
        found = self.path == "/api/models/org/model/revision/main"
        self.send_response(200 if found else 404)
        self.end_headers()
        self.wfile.write(json.dumps({"sha": "c0ffee"}).encode() if found else b"")

    def log_message(self, *arguments: Any) -> None:
        """Print nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    for name in ("http_proxy", "HTTP_PROXY", "HF_TOKEN", "HF_HUB_OFFLINE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    Answers.asked = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as running:
        threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True).start()
        yield f"127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.mark.parametrize("name", ["team/tool:1.0", "tool"])
def test_a_tag_is_resolved_at_its_registry(server: str, name: str) -> None:
    assert resolve_image(f"{server}/{name}") == Pin(f"{server}/{name}", DIGEST)
    ((path, accept),) = Answers.asked
    assert path.rpartition("/")[2] == ("1.0" if ":" in name else "latest")
    assert "application/vnd.oci.image.index.v1+json" in accept


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("gone", "Not Found"),
        ("strange", "an answer without a digest"),
        ("private", "it requires a login"),
    ],
)
def test_a_registry_without_an_answer_leaves_the_tag_with_the_reason(
    server: str, name: str, why: str
) -> None:
    found = resolve_image(f"{server}/{name}")
    assert found == Pin(f"{server}/{name}", "", f"its registry gave no digest ({why})")


@pytest.mark.parametrize(
    ("name", "what", "hint"),
    [
        ("team/tool:1", "", ""),
        (f"team/tool@{DIGEST}", "", ""),
        ("private:1", "{server} requires a login for {image}", "docker login {server}"),
        ("absent:1", "{server} has no image {image}", "correct its name or tag"),
        ("strange:1", "{server} gave no answer for {image} (an answer without", "check the net"),
    ],
)
def test_a_registry_that_hands_out_no_image_says_why(
    server: str, name: str, what: str, hint: str
) -> None:
    found = why_not_pulled(image := f"{server}/{name}")
    assert found[0].startswith(what.format(server=server, image=image))
    assert found[1].startswith(hint.format(server=server))
    assert bool(found[0]) == bool(what)


@pytest.mark.parametrize(
    ("image", "local", "pin"),
    [
        (f"tool@{DIGEST}", None, Pin(f"tool@{DIGEST}", DIGEST)),
        ("tool:1", DIGEST, Pin("tool:1", DIGEST)),
        ("tool:1", "", Pin("tool:1", "", "it was built or loaded on this machine")),
        ("/images/tool.sif", None, Pin("/images/tool.sif", "", "a file has no registry")),
    ],
)
def test_no_registry_is_asked_for_an_image_that_is_known_here(
    image: str, local: str | None, pin: Pin
) -> None:
    assert resolve_image(image, lambda name: local) == pin


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("tool", f"tool@{DIGEST}"),
        ("tool:1", f"tool@{DIGEST}"),
        ("host:5000/team/tool", f"host:5000/team/tool@{DIGEST}"),
        ("host:5000/team/tool:1", f"host:5000/team/tool@{DIGEST}"),
        (f"tool@{DIGEST}", f"tool@{DIGEST}"),
    ],
)
def test_the_pinned_name_starts_the_digest(image: str, name: str) -> None:
    assert pinned_name(image, DIGEST) == name
    assert pinned_name(image, "") == image


def test_a_handle_is_resolved_to_the_commit_of_the_hub(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", f"http://{server}")
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert resolve_model("org/model") == Pin("org/model", "c0ffee")
    assert resolve_model("org/model:Q4_K_M") == Pin("org/model:Q4_K_M", "c0ffee")
    assert Answers.asked[0] == ("/api/models/org/model/revision/main", "Bearer secret")
    assert resolve_model("org/gone") == Pin("org/gone", "", "the hub gave no commit (Not Found)")


def test_without_the_hub_the_commit_of_the_cache_counts(
    server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert resolve_model("org/model").why == "HF_HUB_OFFLINE is set"
    references = tmp_path / "home/cache/huggingface/hub/models--org--model/refs"
    references.mkdir(parents=True)
    (references / "main").write_text("beef\n")
    assert resolve_model("org/model") == Pin("org/model", "beef")
    assert Answers.asked == []


def test_pins_survive_the_way_to_the_run() -> None:
    pins = Pins({key_of(None, "lm-eval"): Pin("i:1", DIGEST)}, {"o/m": Pin("o/m", "", "offline")})
    assert Pins.from_dict(json.loads(pins.to_json())) == pins
    assert key_of("i:1", "lm-eval") != key_of(None, "lm-eval")


def test_each_name_is_resolved_once() -> None:
    asked: list[str] = []

    def resolve(name: str) -> Pin:
        asked.append(name)
        return Pin(name)

    assert resolve_all(["a", "b", "a"], resolve) == {"a": Pin("a"), "b": Pin("b")}
    assert sorted(asked) == ["a", "b"]
