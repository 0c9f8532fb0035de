"""Series: the checkpoints of a training, which the head expands into plain models at its start."""
