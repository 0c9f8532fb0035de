"""What users see while a run works: status, logs, kill, the live display."""
