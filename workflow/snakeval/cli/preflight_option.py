"""The option ``--no-preflight`` of ``run``, ``resume``, ``rescore`` and ``eval``.

It is ``--config preflight=false``.
"""

from __future__ import annotations

from snakeval.cli.flag import Flag

#: The key of ``--config``.
KEY = "preflight"
preflight_option = Flag(
    "--no-preflight", help="Start without asking the endpoints whether they work."
)
is_off = preflight_option.is_set
