"""GPUs of harnesses and of servers, from one account. There are no real GPUs here."""

from __future__ import annotations

from pathlib import Path

from support.served import Served


def test_a_harness_that_needs_a_gpu_has_another_than_its_models_server(tmp_path: Path) -> None:
    served = Served(tmp_path, "process", "careful", gpus=1)
    for number in range(2):
        served.asks(f"b{number}", seed=number, count=3, pause=0.2)
        benchmark = served.work.config["benchmarks"][f"b{number}"]
        seen = f"{served.shared}/seen-{number}"
        benchmark["resources"] = {"gpus": 1}
        benchmark["command"] = f"echo $CUDA_VISIBLE_DEVICES > {seen}; {benchmark['command']}"
    done = served.work.snakemake("--cores", "4", "--resources", "gpu=2")
    assert done.exit_code == 0, done.output
    assert [path.read_text() for path in served.shared.glob("seen-*")] == ["1\n", "1\n"]
    served.nothing_is_left()
    # On a machine with one GPU, that cannot be.
    (tmp_path / "few").mkdir()
    few = Served(tmp_path / "few", "process", "careful", gpus=1)
    few.work.config["benchmarks"] = {"b0": served.work.config["benchmarks"]["b0"]}
    assert few.work.snakemake("--resources", "gpu=1").exit_code == 1
    reason = few.work.table()["reason"]["careful/b0"]
    assert "careful 1, the harness 1 of its own, and this machine has 1 (0)" in reason
    few.nothing_is_left()
