"""The jobs that the rules start."""
