"""Deprecated name of :mod:`snakeval.executors.lepton`, for profiles that users have edited."""
