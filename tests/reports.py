"""Reports made by the command, and files that others might give it."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

from fixtures.isolation import ROOT

Content = dict[str, Any]
PLAIN, QUICK = "minilm-l6-onnxruntime-f32", "minilm-l6-onnxruntime-int8_dynamic"


def report(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """``python -m bench.report``."""
    command = [sys.executable, "-m", "bench.report", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def other_machine(content: Content) -> Content:
    """A run reduced by hand, said to be a sample, of a CPU that does not exist."""
    other = copy.deepcopy(content)
    found = other["encoder_parity"]
    found["machine"] |= {"architecture": "aarch64", "marker": "arm", "cpu": "Sample ARM", "isa": ["asimddp"]}
    found["sample"] = "reduced by hand from a run on another CPU"
    found["rows"] = {i: row for i, row in found["rows"].items() if "fused" not in i}
    return other
