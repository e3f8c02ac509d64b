"""Names the plugins of Encoder Parity; nothing else."""

pytest_plugins = ["fixtures.pytest_plugin.hooks", "fixtures.pytest_plugin.fixtures", "fixtures.pytest_plugin.terminal"]
