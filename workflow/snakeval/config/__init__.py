"""Reads YAML and returns a checked, immutable configuration."""
