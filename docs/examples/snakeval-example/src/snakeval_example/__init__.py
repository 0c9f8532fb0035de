"""One harness, runtime, deployment, executor and exporter for snakeval, as an example."""
