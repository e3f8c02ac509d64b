"""Counts how often each verdict on accuracy is given, on simulated predictions: the table of docs/accuracy.md.

    python -m bench.accuracy_characteristics [EVALUATIONS]

EVALUATIONS (2000) is the number of simulated evaluations for each row of the table; shares are in per cent, with 95 %
Clopper-Pearson limits.
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Sequence

import numpy as np

from bench.operating_characteristics import number, per_cent
from fixtures.metrics.accuracy import HOLDS, LOSES, word
from fixtures.options.comparison import MARGIN
from fixtures.report.table import Column, Table

SEED = 2026
#: PyTorch f32's accuracy, close to the default model's on MRPC.
ACCURACY = 0.83
#: If nothing is lost, this share of rows becomes wrong and the same share becomes right: int8 flips 2 to 3 % of MRPC.
CHANGED = 0.0125
#: True losses, as shares of rows; the second is the margin itself.
LOSSES = (0.0, MARGIN * ACCURACY, 0.01, 0.02, 0.03)
#: Numbers of rows: the stand-in's dev pairs, MRPC's dev pairs, MRPC's test pairs, and a large number.
ROWS = (240, 408, 1725, 10_000)


def words(loss: float, rows: int, evaluations: int, changed: float = CHANGED, seed: int = SEED) -> list[str]:
    """The verdict of each evaluation if ``changed + loss`` of the rows become wrong and ``changed`` become right.

    The margin is a share of the baseline's accuracy on the rows drawn.
    """
    worse, better = changed + loss, changed
    kinds = [worse, better, ACCURACY - worse, 1 - ACCURACY - better]
    drawn = np.random.default_rng([seed, rows, round(1e5 * loss)]).multinomial(rows, kinds, evaluations)
    return [word(int(lost), int(gained), rows, MARGIN * float(lost + kept) / rows) for lost, gained, kept, _ in drawn]


def row(loss: float, rows: int, evaluations: int) -> dict[str, object]:
    """One row of the table: the shares of the three verdicts."""
    said = words(loss, rows, evaluations)
    neither = len(said) - said.count(HOLDS) - said.count(LOSES)
    return {
        "loss": 100 * loss, "rows": rows, "flips": 100 * (2 * CHANGED + loss), "holds": per_cent(said.count(HOLDS), len(said)),
        "loses": per_cent(said.count(LOSES), len(said)), "neither": per_cent(neither, len(said)),
    }  # fmt: skip


COLUMNS = (
    Column("true loss, points", "loss", "{:.2f}"), Column("rows", "rows", "{}"), Column("flips %", "flips", "{:.1f}"),
    Column("holds %", "holds"), Column("loses %", "loses"), Column("can't tell %", "neither"),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.accuracy_characteristics")
    parser.add_argument("evaluations", nargs="?", type=number, default=2000, help="for each row (default: 2000)")
    evaluations = parser.parse_args(arguments).evaluations
    cases = [(loss, rows, evaluations) for loss in LOSSES for rows in ROWS]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.starmap(row, cases, chunksize=1)
    print(Table({str(i): one for i, one in enumerate(found)}, COLUMNS).markdown())


if __name__ == "__main__":
    main()
