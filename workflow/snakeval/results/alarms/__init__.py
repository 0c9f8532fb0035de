"""Alarms of a training: decides them from the points of curves, words and delivers them."""
