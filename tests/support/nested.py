"""Runs the suite in a separate pytest process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from fixtures.store.source_code import ROOT

#: Cells with a known failure, and the working cell of the same backend that tests/support/upstream_fixed.py builds instead.
MENDED = {
    ("tensorflow", "f32", "library_default"): ("tensorflow", "f32", ""),
    ("onnxruntime_tensorflow", "f32", "library_default"): ("onnxruntime_tensorflow", "f32", ""),
    ("tflite", "int8_static", "full_integer"): ("tflite", "int8_static", ""),
    ("tflite", "int16x8", "full_integer"): ("tflite", "int16x8", ""),
    ("onnxruntime_fused", "f32", "library_default"): ("onnxruntime_fused", "f32", ""),
}
#: The cells among these whose failure depends on the weights.
SOMETIMES = {("tensorflow", "f32", "library_default"), ("tflite", "int8_static", "full_integer")}

#: Code that runs its arguments with this Python and with the signal handling of a program in a terminal. Processes inherit
#: ignored and blocked signals, and a shell without job control ignores SIGINT in background processes.
_HEEDING = """
import os, signal, sys
heeded = signal.SIGINT, signal.SIGTERM
for number in heeded:
    signal.signal(number, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, heeded)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def command(*arguments: str, cache: Path | None = None) -> list[str]:
    """The command line of a separate pytest process that can be interrupted; with ``cache``, it uses pytest's cache."""
    caching = ["-p", "no:cacheprovider"] if cache is None else ["-o", f"cache_dir={cache}"]
    return [sys.executable, "-c", _HEEDING, "-m", "pytest", *caching, *arguments]


def surroundings(**environment: str) -> dict[str, str]:
    """The environment variables without this session's settings, offline."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("ENCODER_PARITY_", "PYTEST_"))}
    return {**inherited, "HF_HUB_OFFLINE": "1", **environment}


def run(
    *arguments: str, timeout: float = 300, cache: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a separate pytest process in the project's folder, offline and without this session's settings."""
    return subprocess.run(
        command(*arguments, cache=cache),
        cwd=ROOT,
        env=surroundings(**environment),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
