"""snakeval: evaluate any LLM on any benchmark, anywhere, and never lose a finished result."""

__version__ = "0.1.0"
