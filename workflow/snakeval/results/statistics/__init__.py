"""Intervals, differences and averages of scores, in the scale of the scores.

Every formula is SciPy's or statsmodels'. Each docstring names the source of its method. A number
without a sound method is None, and its note has the reason. Both libraries take a second to import,
so the functions that use them import them.
"""
