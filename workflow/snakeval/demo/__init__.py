"""A demonstration whose scores are known: generated benchmarks and a rule-based model server."""
