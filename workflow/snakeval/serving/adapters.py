"""Reads LoRA adapters: their rank, and whether they change the answers of their base model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from snakeval.files import DAMAGE, json_object

_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
#: The ranks that vLLM accepts for its servers.
_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
#: The rank of an adapter whose configuration does not say it, as PEFT's default.
_DEFAULT = 8
_PART = 1 << 20


def rank(adapter: Path) -> int:
    """Return the rank that a server must support for an adapter, rounded up to what vLLM accepts.

    Adapters of a series mostly have one rank, so one server serves them.
    """
    try:
        facts = json_object((adapter / _CONFIG).read_bytes())
        own = [facts.get("r", _DEFAULT), *dict(facts.get("rank_pattern") or {}).values()]
        most = max(map(int, own))
    except (*DAMAGE, OSError):
        most = _DEFAULT
    return next((rank for rank in _RANKS if rank >= most), most)


def changes_nothing(adapter: Path) -> bool:
    """Whether an adapter is one before its training: all its second matrices are zero.

    An adapter that cannot be read may change something.
    """
    try:
        with (adapter / _WEIGHTS).open("rb") as content:
            length = int.from_bytes(content.read(8), "little")
            header: dict[str, Any] = json_object(content.read(length))
            header.pop("__metadata__", None)
            spans = [
                entry["data_offsets"] for name, entry in header.items() if ".lora_A." not in name
            ]
            for begin, end in spans:
                content.seek(8 + length + begin)
                left = end - begin
                while left > 0:
                    part = content.read(min(left, _PART))
                    if not part or part.strip(b"\0"):
                        return False
                    left -= len(part)
    except (*DAMAGE, OSError):
        return False
    return bool(spans)
