"""Package data: Hydra config groups for configurations in the shape of NVIDIA's launcher.

The groups list the keys that such a configuration may set, so that ``-o deployment.port=9000``
finds its key. ``null`` keeps snakeval's default. :mod:`snakeval.config.nemo_launcher` reads the
other values.
"""
