"""Registers the pytest plugins of Encoder Parity."""

pytest_plugins = [f"fixtures.pytest_plugin.{name}" for name in ("hooks", "outcomes", "fixtures", "terminal")]
