"""Names the plugins of Encoder Parity; nothing else."""

pytest_plugins = ["fixtures.plugin", "fixtures.provide", "fixtures.reporting"]
