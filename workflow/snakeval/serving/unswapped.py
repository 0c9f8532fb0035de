"""The files of a checkpoint that a swap of its weights does not replace."""

from __future__ import annotations

import hashlib
from fnmatch import fnmatchcase
from pathlib import Path

from snakeval.errors import ConfigError
from snakeval.evaluation.definition import digest
from snakeval.serving.weights import Kept, WeightFile, files_of

#: Files that a server reads once, at its start.
_REST = (
    "config.json", "generation_config.json", "tokenizer*", "special_tokens_map.json",
    "added_tokens.json", "vocab*", "merges.txt", "*.model", "*.jinja", "chat_template*",
    "*processor_config.json", "*.py",
)  # fmt: skip


def rest_of(checkpoint: Path) -> str:
    """Return a digest of what a server reads beside the tensors: tokenizer, configuration, code.

    A swap of the weights does not replace these files. Reads no weights. The digest of a checkpoint
    that is gone, or cannot be read, is empty: no server loads it.
    """
    kept = Kept(checkpoint)
    try:
        found = [f for f in files_of(checkpoint) if any(fnmatchcase(f.name, p) for p in _REST)]
        return digest([[f.name, kept.get(f.path, f.key) or _read_whole(f)] for f in found])
    except (ConfigError, OSError):
        return ""


def _read_whole(file: WeightFile) -> str:
    return hashlib.sha256(Path(file.path).read_bytes()).hexdigest()
