"""Runs LoadGen in a worker process on answers that need no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fixtures.worker import load_generator

ROWS = 20


def run(say: Callable[[str], None], asked: dict[str, Any], out: str, poisoned: int | None = None) -> dict[str, Any]:
    """Answer row n with n; ValueError for the row ``poisoned``."""

    def answer(rows: Sequence[int]) -> npt.NDArray[np.float32]:
        if poisoned in rows:
            raise ValueError(f"row {poisoned} is poisoned")
        return np.array([[row] for row in rows], np.float32)

    found = load_generator.run([answer], [5 + row for row in range(ROWS)], asked, Path(out))
    return {
        "answers": {row: float(logits[0]) for row, logits in found["answers"].items()}, "queries": len(found["latencies"]),
        "largest": max(found["sizes"]), "rows": sum(found["sizes"]), "summary": found["summary"],
    }  # fmt: skip
