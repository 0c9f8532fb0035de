"""Models that have the name of a file of the gateway."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from snakeval.demo.server import serve
from support.asking import Asking

pytestmark = pytest.mark.usefixtures("in_this_process")


@pytest.mark.parametrize("name", ["gateway", "summary.json", "asked-again", "stale"])
def test_a_model_may_have_the_name_of_a_file_beside_its_journal(tmp_path: Path, name: str) -> None:
    with serve() as server:
        job = Asking(tmp_path, server.url, dies=2)
        job.evaluation = replace(job.evaluation, model=name)
        assert job()[0] == 1
        job.lives()
        job.evaluation = replace(
            job.evaluation, transport=replace(job.evaluation.transport, ask_again="last now")
        )
        assert job() == (0, "")
        assert {one.upstream for one in job.stored} == {name}
        assert server.stats()["requests"] == 5, "what was received last is requested again"
