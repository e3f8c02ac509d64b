"""Measures what a batch job on the task's own rows takes: sorted by length or not, padded to the maximum, with tokenisation."""

from __future__ import annotations

import statistics
from collections.abc import Callable

import pytest

from fixtures.core.registry import REGISTRY
from fixtures.core.spec import Variant
from fixtures.harness.checkpoints import Checkpoint
from fixtures.harness.harness import Harness
from fixtures.harness.session import Session
from fixtures.timing import row_throughput
from fixtures.timing.pytest_timer import recorded
from fixtures.timing.roofline import least_seconds
from fixtures.timing.row_throughput import BATCH, MAXIMUM, ROUNDS, ROWS, UNSORTED

Tokenised = Callable[[Checkpoint, Variant], float]


@pytest.fixture(scope="session")
def tokenised(harness: Harness) -> Tokenised:
    """``tokenised(checkpoint, variant)`` gives the samples a second of the model's tokenizer on the task's rows, once a model.

    It is the checkpoint's own fast tokenizer, in this environment, with as many threads as the variants have.
    """
    known: dict[str, float] = {}

    def measured(checkpoint: Checkpoint, variant: Variant) -> float:
        rows = harness.dev(variant.model, variant.size).rows
        some = [dict(rows[i]) for i in range(0, len(rows), -(-len(rows) // ROWS))]
        pool = harness.home.pool
        worker = pool.builder(f"{variant.subject}-tokenised", harness.settings.threads, polite=False)
        arguments = {
            "task": harness.task.name, "rows": some, "checkpoint": str(checkpoint.artifact.path),
            "max_length": harness.longest(checkpoint), "rounds": ROUNDS,
        }  # fmt: skip
        found = pool.ask_and_end(worker, "fixtures.worker.jobs.timed_tokenization:run", arguments)["value"]
        return float(found["features"] / statistics.median(found["seconds"]))

    def once(checkpoint: Checkpoint, variant: Variant) -> float:
        if variant.subject not in known:
            known[variant.subject] = measured(checkpoint, variant)
        return known[variant.subject]

    return once


@pytest.mark.phase("latency")
def test_rows(
    request: pytest.FixtureRequest, harness: Harness, variant: Variant, checkpoint: Checkpoint, session: Session,
    tokenised: Tokenised, row: Callable[..., None],
) -> None:  # fmt: skip
    """Records samples a second of each pass over the rows and the share of padding, and those of the tokenizer.

    No pass is shorter than reading the weights for each of its batches takes.
    """
    rows, pad_to = harness.dev(variant.model, variant.size).inputs, harness.artifact(variant).meta.get("pad_to")
    found = row_throughput.measure(session, rows, harness.longest(checkpoint), pad_to)
    least = least_seconds(checkpoint.shape, variant, session.threads)
    for name, seconds in found.seconds.items():
        batches = -(-found.samples[name] // BATCH)
        assert min(seconds) >= batches * least, (
            f"{variant.id}: {batches} batches in {min(seconds) * 1e6:.3g} us, {name}, are no inference: any machine takes "
            f"{batches * least * 1e6:.3g} us to read the weights for them"
        )

    benchmark = recorded(request, found.seconds[UNSORTED], f"{variant.subject} rows")
    measured = {**found.fields(), "tokenised_per_second": tokenised(checkpoint, variant)}
    row(throughput=measured)
    benchmark.extra_info.update(
        # Not under "variant": that is the latency at one shape, which other runs are compared with.
        rows_of=variant.fields(), machine=harness.target.fields(), threads=session.threads,
        versions=harness.toolchain.runtime_versions((*REGISTRY.backends[variant.backend].packages, "numpy")),
        seconds=dict(found.seconds), maximum_costs=found.per_second(UNSORTED) / found.per_second(MAXIMUM), **measured,
    )  # fmt: skip
