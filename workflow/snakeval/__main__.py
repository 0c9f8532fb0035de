"""Runs the ``snakeval`` command as ``python -m snakeval``."""

import sys

from snakeval.cli import main

sys.exit(main())
