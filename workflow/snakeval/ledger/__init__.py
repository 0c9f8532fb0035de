"""A gateway between a harness and its endpoints that keeps every answer in a journal.

This package requires only the standard library of Python 3.9, because it also runs in containers.
"""
