"""A half-written checkpoint is never ready, and no look reads weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from snakeval.series.ready import APART, GONE, Judged, judge
from support.checkpoints import adapter, checkpoint, safetensors, sharded

READY = Judged()


def twice(path: Path, between: Callable[[], object] = lambda: None) -> Judged:
    """Look as a real start does; something happens between the looks."""
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        between()

    found = judge([str(path)], sleep=sleep)[str(path)]
    assert waited in ([], [APART])
    return found


def test_whole_checkpoints_at_rest_are_ready_after_one_wait(tmp_path: Path) -> None:
    paths = [checkpoint(tmp_path / "1"), sharded(tmp_path / "2"), adapter(tmp_path / "3")]
    waited: list[float] = []
    found = judge(map(str, paths), sleep=waited.append)
    assert [found[str(path)] for path in paths] == [READY, READY, Judged(is_adapter=True)]
    assert waited == [APART]


def test_nothing_that_is_incomplete_waits(tmp_path: Path) -> None:
    def sleep(seconds: float) -> None:
        raise AssertionError

    (tmp_path / "1").mkdir()
    found = judge([str(tmp_path / "1"), str(tmp_path / "none")], sleep=sleep)
    assert [each.why_not for each in found.values()] == [
        "not settled yet: config.json is missing",
        GONE,
    ]


def broken(path: Path, file: str, content: bytes | None) -> str:
    if content is None:
        (path / file).unlink()
    else:
        (path / file).write_bytes(content)
    return twice(path).why_not.removeprefix("not settled yet: ")


INDEX = "model.safetensors.index.json"
WHOLE = safetensors({"t1": b"x" * 9})


@pytest.mark.parametrize(
    ("file", "content", "why"),
    [
        ("config.json", None, "config.json is missing"),
        ("config.json", b'{"a', "config.json is half-written"),
        ("model-1-of-2.safetensors", None, "model-1-of-2.safetensors is missing"),
        ("model-1-of-2.safetensors", b"", "model-1-of-2.safetensors is half-written"),
        ("model-1-of-2.safetensors", WHOLE[:40], "model-1-of-2.safetensors is half-written"),
        (
            "model-1-of-2.safetensors",
            WHOLE[:-1],
            f"model-1-of-2.safetensors has {len(WHOLE) - 1} of {len(WHOLE)} bytes",
        ),
        (
            "model-1-of-2.safetensors",
            WHOLE + b"x",
            f"model-1-of-2.safetensors has {len(WHOLE) + 1} of {len(WHOLE)} bytes",
        ),
        (
            "model-1-of-2.safetensors",
            b"\x02" + bytes(7) + b"[]",
            "model-1-of-2.safetensors has no valid header",
        ),
        ("model-1-of-2.safetensors", bytes(100), "model-1-of-2.safetensors has no valid header"),
        (
            "model-1-of-2.safetensors",
            safetensors({"other": b"x"}),
            "model-1-of-2.safetensors lacks t1",
        ),
        (INDEX, b'{"weight_map": {"t1"', f"{INDEX} is half-written"),
        (INDEX, b'{"weight_map": {}}', f"{INDEX} is half-written"),
        (INDEX, b'{"weight_map": {"t1": "../x.safetensors"}}', "../x.safetensors is missing"),
        (INDEX, b'{"weight_map": {"t1": ["x"]}}', "['x'] is missing"),
    ],
)
def test_what_is_half_written(tmp_path: Path, file: str, content: bytes | None, why: str) -> None:
    assert broken(sharded(tmp_path / "1"), file, content) == why


def test_an_adapter_needs_both_files(tmp_path: Path) -> None:
    name = "adapter_model.safetensors"
    assert broken(adapter(tmp_path / "1"), name, None) == f"{name} is missing"
    assert broken(adapter(tmp_path / "2"), name, b"x") == f"{name} is half-written"
    path = adapter(tmp_path / "3")
    assert broken(path, "adapter_config.json", b"{") == "adapter_config.json is half-written"


def test_auto_judges_safetensors_only(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "1")
    (path / "pytorch_model.bin").write_bytes(b"x")
    assert twice(path) == READY
    assert "set `ready` to a file written last" in broken(path, "model.safetensors", None)


def test_a_file_that_changes_between_the_looks_is_not_settled(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "1")
    assert twice(path, lambda: (path / "more.json").write_text("")).why_not == (
        "not settled yet: its files change"
    )
    half = WHOLE[:-1]
    found = twice(path, lambda: (path / "model.safetensors").write_bytes(half))
    assert found.why_not.startswith("not settled yet: model.safetensors has")
    same = (path / "config.json").read_bytes()
    (path / "model.safetensors").write_bytes(WHOLE)

    def replaced() -> None:
        (path / "new").write_bytes(same)
        (path / "new").replace(path / "config.json")

    assert twice(path, replaced).why_not == "not settled yet: its files change"
    assert twice(path) == READY


def test_a_checkpoint_that_disappears_is_gone(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "1")
    assert twice(path, lambda: shutil.rmtree(path)).why_not == GONE
    assert judge([str(path)], "done")[str(path)].why_not == GONE


def test_a_dry_run_looks_once_and_trusts_files_that_rest(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "1")
    now = max(file.stat().st_ctime for file in path.iterdir())

    def sleep(seconds: float) -> None:
        raise AssertionError

    def at(seconds: float) -> str:
        clock = (now + seconds).__float__
        return judge([str(path)], waits=False, sleep=sleep, clock=clock)[str(path)].why_not

    assert at(2) == "not settled yet: it changed 2 s ago"
    assert at(-60) == "not settled yet: it changed 0 s ago"
    assert at(APART + 1) == ""


def test_a_marker_alone_decides(tmp_path: Path) -> None:
    path = tmp_path / "1"
    path.mkdir()
    assert judge([str(path)], "done")[str(path)].why_not == "not settled yet: it has no done"
    (path / "done").touch()
    assert judge([str(path)], "done") == {str(path): READY}


def test_no_look_reads_weights(tmp_path: Path) -> None:
    path = sharded(tmp_path / "1")
    shard = path / "model-1-of-2.safetensors"
    header = json.dumps({"t1": {"dtype": "U8", "shape": [1 << 36], "data_offsets": [0, 1 << 36]}})
    with shard.open("wb") as file:  # 64 GiB, which are a hole
        file.write(len(header).to_bytes(8, "little") + header.encode())
        file.truncate(8 + len(header) + (1 << 36))
    assert twice(path) == READY
