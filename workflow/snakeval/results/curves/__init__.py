"""Curves of a training: the scores of its checkpoints over their steps or over time."""
