"""A demonstration with known scores: generated benchmarks and a rule-based model server."""
