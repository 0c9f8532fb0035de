"""Hydra's config groups for configurations in the shape of NVIDIA's launcher, as package data.

They hold the keys that such a configuration may set, so that ``-o deployment.port=9000`` finds its
key. ``null`` leaves it to what snakeval does by itself;
:mod:`snakeval.config.nemo_launcher` reads the rest.
"""
