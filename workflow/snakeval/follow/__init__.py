"""``snakeval follow``: watches a training and starts a head for each checkpoint that is ready."""
