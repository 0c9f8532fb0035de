"""Stops what a run still has running."""

from __future__ import annotations

_LOOK_SECONDS = 0.3
