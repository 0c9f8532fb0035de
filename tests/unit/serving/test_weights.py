"""Weights are known by their whole content, which is read once, and only by a start."""

from __future__ import annotations

import json
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snakeval.errors import ConfigError, EvaluationError
from snakeval.serving import weights
from snakeval.serving.sampled_weights import checkpoint_digest, sampled
from snakeval.serving.weights import (
    by_stat,
    files_of,
    known,
    require_unchanged,
    weigh,
)

OLD = time.time() - 3600


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SNAKEVAL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def written(path: Path, content: bytes) -> Path:
    """A file that has not changed for an hour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (OLD, OLD))
    return path


def safetensors(middle: bytes) -> bytes:
    """A file of the format that differs from others in its middle only."""
    header = json.dumps({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}}).encode()
    return struct.pack("<Q", len(header)) + header + b"0" * 100_000 + middle + b"1" * 100_000


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    written(tmp_path / "model/model.safetensors", safetensors(b"base"))
    written(tmp_path / "model/config.json", b"{}")
    return tmp_path / "model"


@contextmanager
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The files of weights that are read meanwhile."""
    names: list[str] = []
    real = weights._of_file

    def of_file(file: weights.WeightFile, *more: object) -> str:
        names.append(file.name)
        return real(file, *more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(weights, "_of_file", of_file)
        yield names


def test_a_fine_tune_that_differs_in_the_middle_of_a_file_is_another_model(
    checkpoint: Path, tmp_path: Path
) -> None:
    tuned = tmp_path / "tuned"
    written(tuned / "model.safetensors", safetensors(b"tune"))
    written(tuned / "config.json", b"{}")
    assert checkpoint_digest(checkpoint) == checkpoint_digest(tuned), "format 1 saw no difference"
    assert weigh(checkpoint) != weigh(tuned)


def test_a_file_is_read_once_and_again_only_if_it_changed(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert known(checkpoint) is None
    with opened(monkeypatch) as names:
        before = weigh(checkpoint)
    assert sorted(names) == ["config.json", "model.safetensors"]
    with opened(monkeypatch) as names:
        assert (weigh(checkpoint), known(checkpoint)) == (before, before)
    assert names == []
    written(checkpoint / "config.json", b"{ }")
    assert known(checkpoint) is None
    with opened(monkeypatch) as names:
        assert weigh(checkpoint) != before
    assert names == ["config.json"]


def test_a_file_of_this_moment_is_not_kept_since_it_may_change_unseen(checkpoint: Path) -> None:
    (checkpoint / "config.json").write_text("{}")
    weigh(checkpoint)
    assert known(checkpoint) is None


def test_the_place_and_the_time_of_weights_do_not_matter(checkpoint: Path, tmp_path: Path) -> None:
    before, stat = weigh(checkpoint), by_stat(files_of(checkpoint))
    moved = checkpoint.rename(tmp_path / "moved")
    assert weigh(moved) == before
    os.utime(moved / "config.json", (OLD + 9, OLD + 9))
    assert weigh(moved) == before
    assert by_stat(files_of(moved)) != stat


def test_links_are_followed_once_and_what_no_server_reads_is_left_out(
    checkpoint: Path, tmp_path: Path
) -> None:
    before = weigh(checkpoint)
    for name in (".gitattributes", "README.md", "LICENSE", ".cache/x", "__pycache__/m.pyc"):
        written(checkpoint / name, b"x")
    (checkpoint / "gone").symlink_to("nowhere")
    (checkpoint / "loop").symlink_to(checkpoint)
    assert weigh(checkpoint) == before
    written(tmp_path / "adapter/adapter.safetensors", b"1")
    (checkpoint / "adapter").symlink_to(tmp_path / "adapter")
    assert weigh(checkpoint) != before


def test_an_interrupted_start_keeps_what_it_has_read(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = weights._of_file

    def interrupted(file: weights.WeightFile, *more: object) -> str:
        if file.name == "config.json":
            raise KeyboardInterrupt
        return real(file, *more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(weights, "_of_file", interrupted)
        patch.setattr(weights, "_AT_ONCE", 1)
        with pytest.raises(KeyboardInterrupt):
            weigh(checkpoint)
    with opened(monkeypatch) as names:
        weigh(checkpoint)
    assert names == ["config.json"]


def test_weights_that_change_meanwhile_are_an_error(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = weights._of_file

    def changed(file: weights.WeightFile, *more: object) -> str:
        found = real(file, *more)  # type: ignore[arg-type]
        Path(file.path).write_bytes(b"other")
        return found

    monkeypatch.setattr(weights, "_of_file", changed)
    with pytest.raises(ConfigError, match="changes while it is read"):
        weigh(checkpoint)


def test_a_long_reading_is_reported(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_REPORT_SECONDS", 0.0)
    lines: list[str] = []
    weigh(checkpoint, lines.append, "llama")
    assert lines[-1].startswith("Hashing the weights of llama: 0.0 of 0.0 GB")


def test_weights_that_cannot_be_read_are_named_with_the_way_out(checkpoint: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read .*weights_digest: stat"):
        weigh(Path("/proc/self/mem"))


def test_a_damaged_cache_is_replaced(checkpoint: Path, home: Path) -> None:
    before = weigh(checkpoint)
    (kept,) = (home / "weights").iterdir()
    for damage in ("", "[]", '{"x": 1}', '{"x": [1, 2]}'):
        kept.write_text(damage)
        assert weigh(checkpoint) == before


def test_the_digest_of_format_1_is_also_kept(checkpoint: Path) -> None:
    assert sampled(checkpoint, read=False) is None
    assert sampled(checkpoint) == checkpoint_digest(checkpoint)
    assert sampled(checkpoint, read=False) == checkpoint_digest(checkpoint)


def test_a_job_trusts_the_plan_after_a_look_at_the_files(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest, stat = weigh(checkpoint), by_stat(files_of(checkpoint))
    with opened(monkeypatch) as names:
        require_unchanged(checkpoint, digest, stat)
        assert names == []
        # A copy on another node, with other times.
        os.utime(checkpoint / "config.json", (OLD + 9, OLD + 9))
        require_unchanged(checkpoint, digest, stat)
        assert names == ["config.json"]
    written(checkpoint / "config.json", b"{ }")
    with pytest.raises(EvaluationError, match="the weights changed since the run started"):
        require_unchanged(checkpoint, digest, stat)
    with pytest.raises(EvaluationError, match="the weights changed since the run started"):
        require_unchanged(checkpoint, f"stat:{stat}", stat)


def test_a_change_in_place_that_keeps_the_time_is_read(checkpoint: Path) -> None:
    before = weigh(checkpoint)
    with (checkpoint / "model.safetensors").open("r+b") as file:
        file.seek(100_000)
        file.write(b"tuned")
    os.utime(checkpoint / "model.safetensors", (OLD, OLD))
    assert known(checkpoint) is None
    assert weigh(checkpoint) != before
