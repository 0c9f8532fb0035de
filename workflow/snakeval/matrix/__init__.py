"""From a configuration to evaluations, their order and their allocations."""
