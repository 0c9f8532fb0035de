"""Deprecated name of :mod:`snakeval.jobs.evaluate`, for jobs queued before an upgrade.

The next release removes it: docs/decisions/6-old-formats.md.
"""

import runpy

if __name__ == "__main__":
    runpy.run_module("snakeval.jobs.evaluate", run_name="__main__", alter_sys=True)
