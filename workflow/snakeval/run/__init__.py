"""One run: its directory, its plan, and how to find it."""
