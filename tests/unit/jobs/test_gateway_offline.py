"""Evaluations whose answers come from the journals alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.demo.server import serve
from snakeval.jobs import failure
from support.asking import Asking

pytestmark = pytest.mark.usefixtures("in_this_process")
_RAISES = "with urllib.request.urlopen(request, timeout=60) as answer:"
_TOLERATES = """\
import contextlib
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=60) as answer:"""


def test_a_missing_answer_fails_an_evaluation_whose_harness_ends_well(tmp_path: Path) -> None:
    with serve() as server:
        job = Asking(tmp_path, server.url, dies=2)
        harness = tmp_path / "harness.py"
        text = harness.read_text()
        assert _RAISES in text
        harness.write_text(text.replace(_RAISES, _TOLERATES))
        job()
        job.lives()
        job.redefine(server.url, dies=2, offline=True)
        code, reason = job()
        assert code == 1
        assert reason.startswith("offline, and the journal has no answer to POST /v1/chat/")
        job.redefine(server.url, dies=2)
        assert job() == (0, "")
        assert len(job.answers) == 3


def test_the_endpoint_is_not_asked_why_a_harness_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def record(*of: object) -> str:
        asked.append("asked")
        return ""

    monkeypatch.setattr(failure, "endpoint_trouble", record)
    with serve() as server:
        job = Asking(tmp_path, server.url, dies=2)
        assert job()[0] == 1
        assert asked == ["asked"]
        job.redefine(server.url, dies=2, offline=True)
        assert job()[0] == 1
        assert asked == ["asked"]
