"""From YAML to a checked, immutable configuration."""
