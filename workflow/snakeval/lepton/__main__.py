"""``python -m snakeval.lepton``, as profiles of the last release call it.

The next release removes it: docs/decisions/6-old-formats.md.
"""

import runpy

if __name__ == "__main__":
    runpy.run_module("snakeval.executors.lepton", run_name="__main__", alter_sys=True)
