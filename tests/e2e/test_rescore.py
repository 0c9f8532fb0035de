"""`snakeval rescore` with Snakemake behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from snakeval.demo.server import serve
from snakeval.jobs import run_job
from support.asking import KEY
from support.command import snakeval
from support.invocations import invocation
from support.stored import asking, play
from support.workspace import Workspace


def test_a_changed_scorer_gives_the_new_score_without_a_request_or_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = Workspace.below(tmp_path)
    monkeypatch.setenv("SNAKEVAL_HOME", str(work.home))
    monkeypatch.setattr(run_job.signal, "signal", lambda *arguments: None)
    with serve(api_key=KEY) as server:
        monkeypatch.setenv("MY_KEY", KEY)
        origin = invocation(work.directory, asking(work.directory, server.url, server.url))
        assert play(origin) == (0, "")
        monkeypatch.delenv("MY_KEY")
        files = [path for path in origin.directory.path.rglob("*") if path.is_file()]
        before = {path: path.read_bytes() for path in files}
        command = origin.everything[0].identity.command.replace(" What 1", " What 2")
        words = (str(origin.directory.path), "-o", f"benchmarks.b.command='{command}'")
        done = snakeval(work, "rescore", *words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert server.stats()["requests"] == 6
    (found,) = (line for line in done.stdout.splitlines() if line.startswith("  m/b: "))
    assert found.startswith("  m/b: the scores differ: b v ")
    old, new = found.partition(" (")[0].split(" v ")[1].split(" → ")
    assert float(new) == 2 * float(old) > 0
    assert {path: path.read_bytes() for path in files} == before, "the finished run is untouched"
