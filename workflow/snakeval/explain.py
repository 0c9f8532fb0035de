"""Deprecated name of :mod:`snakeval.cli.explain`.

The next release removes it: docs/decisions/6-old-formats.md.
"""

import runpy

if __name__ == "__main__":
    runpy.run_module("snakeval.cli.explain", run_name="__main__", alter_sys=True)
