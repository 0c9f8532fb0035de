"""Slurm: jobs of its queue, and the notes that the plugin ``slurm-resume`` keeps of them."""
