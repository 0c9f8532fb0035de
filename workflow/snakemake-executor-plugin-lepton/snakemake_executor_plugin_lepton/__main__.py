"""``python -m snakemake_executor_plugin_lepton``: checks the settings of ``--lepton-…``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from dataclasses import asdict, fields

from snakemake_executor_plugin_lepton.libraries import LEPTONAI, cannot_import
from snakemake_executor_plugin_lepton.settings import ExecutorSettings


def main(arguments: list[str] | None = None) -> int:
    """Print one line per check; return 1 if a check failed."""
    parser = argparse.ArgumentParser(
        prog="python -m snakemake_executor_plugin_lepton",
        description="Check that a workspace and the file transport work with these settings",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    for field in fields(ExecutorSettings):
        variable = f"SNAKEMAKE_LEPTON_{field.name.upper()}"
        given = os.environ.get(variable) if field.metadata.get("env_var") else None
        parser.add_argument(
            f"--lepton-{field.name.replace('_', '-')}",
            dest=field.name,
            default=given or field.default,
            type=int if isinstance(field.default, int) else str,
            help=str(field.metadata["help"]).replace("%", "%%"),
        )
    options = vars(parser.parse_args(arguments))
    as_json = options.pop("json")
    try:
        # It imports NVIDIA's library.
        from snakemake_executor_plugin_lepton.check import checks
    except ImportError as error:
        print(cannot_import("The executor lepton", LEPTONAI, error), file=sys.stderr)
        return 1
    found = list(checks(ExecutorSettings(**options)))
    if as_json:
        print(json.dumps([asdict(check) for check in found], indent=1))
    else:
        for check in found:
            print(f"{check.what:15} {'ok' if check.ok else 'WRONG':6} {check.found}")
    return 0 if all(check.ok for check in found) else 1


if __name__ == "__main__":
    sys.exit(main())
