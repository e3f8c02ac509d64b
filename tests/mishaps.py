"""Jobs that go wrong in every way a child can; called in real child processes."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Say = Callable[[str], None]


def fine(say: Say, out: str) -> dict[str, Any]:
    say("working")
    (Path(out) / "file.bin").write_bytes(b"payload")
    return {"answer": 42}


def raises(say: Say, out: str) -> None:
    raise ValueError("this model has three heads")


def segfaults(say: Say, out: str) -> None:
    print("last words", file=sys.stderr, flush=True)
    ctypes.string_at(0)


def exits(say: Say, out: str) -> None:
    os._exit(7)


def is_killed(say: Say, out: str) -> None:
    (Path(out) / "half.bin").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)


def hangs(say: Say, out: str) -> None:
    time.sleep(600)
