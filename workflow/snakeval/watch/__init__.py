"""The commands and displays for a run at work: status, logs, kill, the live display."""
