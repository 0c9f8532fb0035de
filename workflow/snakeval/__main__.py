"""``python -m snakeval``: the command."""

import sys

from snakeval.cli import main

sys.exit(main())
