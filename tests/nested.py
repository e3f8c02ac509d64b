"""The suite run by itself, in a pytest process of its own."""

from __future__ import annotations

import os
import subprocess
import sys

from fixtures.isolation import ROOT


def run(*arguments: str, timeout: float = 300, **environment: str) -> subprocess.CompletedProcess[str]:
    """A pytest of its own in the project's folder, offline, without this session's settings."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ENCODER_PARITY_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        env={**inherited, "HF_HUB_OFFLINE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
