"""How long a test waits for what must happen."""

from __future__ import annotations

import os

#: Seconds after which a test says that something hangs. No test passes by it, so a slow machine
#: may need nearly all of it.
HUNG = float(os.environ.get("SNAKEVAL_TESTS_HUNG") or 1800)
