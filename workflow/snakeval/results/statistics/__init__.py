"""Intervals, differences and averages of scores."""
