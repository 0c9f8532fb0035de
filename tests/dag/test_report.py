"""Each run writes its report, also after failures, and Snakemake's report includes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support import forks
from support.configs import MODEL
from support.limits import HUNG
from support.workspace import Done, Workspace

GOOD = {
    "harness": "generic",
    "command": "echo '{\"v\": 0.5}' > {{ results }}/f.json",
    "metrics": {"file": "f.json", "values": {"v": "v"}},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, Done]:
    """A finished run, and what it printed."""
    work = workspace(tmp_path_factory.mktemp("finished"), good=GOOD)
    return work, work.snakemake()


@pytest.fixture
def work(finished: tuple[Workspace, Done], tmp_path: Path) -> Workspace:
    """A copy of the finished run."""
    return finished[0].copy(tmp_path)


def workspace(directory: Path, **benchmarks: Any) -> Workspace:
    return Workspace.below(directory, ledger="off", models={"m": MODEL}, benchmarks=benchmarks)


def test_a_run_ends_with_its_report(work: Workspace, finished: tuple[Workspace, Done]) -> None:
    _, done = finished
    page = work.run / "report.html"
    assert f"Report:  {page.relative_to(work.directory)}" in done.output
    assert "1 of 1 evaluations done" in page.read_text()
    page.unlink()
    again = work.snakemake()
    assert page.exists()
    assert again.evaluated == set()


def test_a_failed_run_has_a_report_with_the_reason_and_the_next_run_rewrites_it(
    tmp_path: Path,
) -> None:
    flag = tmp_path / "mended"
    fails = GOOD | {"command": f"test -e {flag} && {GOOD['command']}"}
    work = workspace(tmp_path, good=GOOD, bad=fails)
    assert work.snakemake().exit_code == 1
    page = work.run / "report.html"
    assert "Partial: 1 failed" in page.read_text()
    flag.touch()
    assert work.snakemake().exit_code == 0
    assert "Partial" not in page.read_text()


def test_a_report_that_cannot_be_written_costs_no_result_and_is_one_sentence(
    work: Workspace, tmp_path: Path
) -> None:
    page = work.run / "report.html"
    most = page.stat().st_size // 2
    page.unlink()
    limit = f"import resource as r; r.setrlimit(r.RLIMIT_FSIZE, ({most}, {most}))"
    environment = forks.with_first(work.environment, tmp_path / "python", limit)
    done = forks.finished(work.command(), cwd=work.directory, env=environment, timeout=HUNG)
    output = done.stdout + done.stderr
    assert done.returncode == 1, output
    assert "Results: " in output
    where = page.relative_to(work.directory)
    assert f"no report: output_dir: {where} cannot be written (File too large); set" in output
    assert "Traceback" not in output
    assert "RuleException" not in output
    assert work.table()["status"].tolist() == ["done"]


def test_snakemakes_own_report_has_the_table_and_the_page(work: Workspace) -> None:
    done = work.snakemake("--report", "snakemake.html")
    assert done.exit_code == 0, done.output
    assert "Adding results.csv" in done.output
    assert "Adding summary.html" in done.output
    text = (work.directory / "snakemake.html").read_text()
    assert "with standard error and 95 % interval" in text


def test_a_chosen_benchmark_includes_its_repeats(tmp_path: Path) -> None:
    work = workspace(tmp_path, often=GOOD | {"repeats": 3}, other=GOOD)
    done = work.snakemake("--config", "benchmarks=often")
    assert done.evaluated == {"m/often", "m/often-r2", "m/often-r3"}
    assert "no evaluation" not in done.output
    assert work.snakemake().evaluated == {"m/other"}
