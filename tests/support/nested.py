"""The suite run by itself, in a pytest process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from fixtures.store.source_code import ROOT

#: A cell that is broken today, and one of the same backend that works: what tests/support/upstream_fixed.py exchanges.
MENDED = {
    ("tensorflow", "f32", "library_default"): ("tensorflow", "f32", ""),
    ("onnxruntime_tensorflow", "f32", "library_default"): ("onnxruntime_tensorflow", "f32", ""),
    ("tflite", "int8_static", "full_integer"): ("tflite", "int8_static", ""),
    ("tflite", "int16x8", "full_integer"): ("tflite", "int16x8", ""),
    ("onnxruntime_fused", "f32", "library_default"): ("onnxruntime_fused", "f32", ""),
}
#: Of these, those whose failure depends on the weights.
SOMETIMES = {("tensorflow", "f32", "library_default"), ("tflite", "int8_static", "full_integer")}

#: Runs its arguments by this Python with signals as a terminal's programs have them: what a process ignores or blocks, those
#: that it starts ignore and block too, and a shell without job control ignores SIGINT for what it starts in the background.
_HEEDING = """
import os, signal, sys
heeded = signal.SIGINT, signal.SIGTERM
for number in heeded:
    signal.signal(number, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, heeded)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def command(*arguments: str, cache: Path | None = None) -> list[str]:
    """What runs a pytest of its own, which can be interrupted; with ``cache``, pytest's cache is there."""
    caching = ["-p", "no:cacheprovider"] if cache is None else ["-o", f"cache_dir={cache}"]
    return [sys.executable, "-c", _HEEDING, "-m", "pytest", *caching, *arguments]


def surroundings(**environment: str) -> dict[str, str]:
    """The environment without this session's settings, offline."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ENCODER_PARITY_", "PYTEST_"))}
    return {**inherited, "HF_HUB_OFFLINE": "1", **environment}


def run(
    *arguments: str, timeout: float = 300, cache: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A pytest of its own in the project's folder, offline, without this session's settings."""
    return subprocess.run(
        command(*arguments, cache=cache),
        cwd=ROOT,
        env=surroundings(**environment),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
