"""Deprecated name of :mod:`snakeval.executors.lepton`, for profiles that users have edited.

The next release removes it: docs/decisions/6-old-formats.md.
"""
