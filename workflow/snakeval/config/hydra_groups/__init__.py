"""Package data: Hydra config groups for configurations in the shape of NVIDIA's launcher.

The groups list the keys that such a configuration may set, so that ``-o deployment.port=9000``
finds its key. ``null`` keeps snakeval's default. :mod:`snakeval.config.nemo_launcher` reads the
other values.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from snakeval.errors import ConfigError

#: The most entries of a defaults list. Hydra reads a file for each, slowly.
MOST = 1_000


def entries(path: Path, defaults: Any) -> Sequence[Any]:
    """Return the entries of the defaults list of *path*.

    Raises:
        ConfigError: there are too many.
    """
    found: Sequence[Any] = defaults if isinstance(defaults, list) else ()
    if len(found) > MOST:
        raise ConfigError(
            f"{path}: defaults: has {len(found):,} entries, and {MOST:,} is the most; write their "
            "keys to fewer files"
        )
    return found
