"""Registers the pytest plugins of Encoder Parity."""

pytest_plugins = ["fixtures.pytest_plugin.hooks", "fixtures.pytest_plugin.fixtures", "fixtures.pytest_plugin.terminal"]
