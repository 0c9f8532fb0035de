"""Deprecated name of :mod:`snakeval.cli.explain`; it goes with the next release."""

import runpy

if __name__ == "__main__":
    runpy.run_module("snakeval.cli.explain", run_name="__main__", alter_sys=True)
