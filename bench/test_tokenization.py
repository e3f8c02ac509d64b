"""Measures every tokenizer's speed and its share of the latency from text to logits, inside its worker process."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fixtures.comparisons.tokenizers import Pair, TokenizerPool, TokenizerSession, differences
from fixtures.core.registry import REGISTRY
from fixtures.core.spec import Tokenization, Variant
from fixtures.harness.harness import Harness
from fixtures.report.results import note
from fixtures.report.tables.tokenizers import RUNTIMES, share
from fixtures.tasks.classification import GLUE_LENGTH
from fixtures.timing.pytest_timer import ChildClock

pytestmark = pytest.mark.phase("latency")
MIN_ROUNDS, MIN_SECONDS = 5, 2.0
Inference = Callable[[str, str], dict[str, float]]


@pytest.fixture(scope="session")
def tokenizer(tokenization: Tokenization, tokenizer_pool: TokenizerPool) -> TokenizerSession:
    """The tokenizer under test, which truncates pairs to GLUE_LENGTH (128) tokens."""
    return tokenizer_pool.open(tokenization, GLUE_LENGTH)


@pytest.fixture(scope="session")
def inference(harness: Harness) -> Inference:
    """``inference(model, size)`` gives, by runtime, the mean seconds of one real pair at batch 1 without padding.

    The mean is over the probes (16 pairs of the dev set at even quantiles of length); each pair contributes its median after a
    steady warm-up. It is measured once.
    """
    known: dict[tuple[str, str], dict[str, float]] = {}

    def seconds(variant: Variant) -> float:
        rows = harness.probes(variant.model, variant.size)
        session = harness.open(variant)
        try:
            medians = []
            for i, length in enumerate(rows["attention_mask"].sum(1)):
                one = {name: np.ascontiguousarray(array[i : i + 1, :length]) for name, array in rows.items()}
                medians.append(statistics.median(session.warm_up(one)[-5:]))
            return statistics.fmean(medians)
        finally:
            harness.pool.release(session)

    def measure(model: str, size: str) -> dict[str, float]:
        if (model, size) not in known:
            variants = [
                Variant(model, size, *cell) for cell in RUNTIMES if not harness.toolchain.absent(REGISTRY.backends[cell[0]])
            ]
            known[model, size] = {f"{v.backend}_{v.precision}": seconds(v) for v in variants}
        return known[model, size]

    return measure


@pytest.fixture
def timed(request: pytest.FixtureRequest, harness: Harness, tokenization: Tokenization) -> Callable[..., list[float]]:
    """``timed(run, rounds, **facts)`` gives the seconds of every round; ``run`` returns what the worker process measured."""
    clock = ChildClock()
    request.node.add_marker(pytest.mark.benchmark(timer=clock, group=f"{tokenization.subject} tokenizers"))
    benchmark = request.getfixturevalue("benchmark")

    def measure(run: Callable[[], float], rounds: int, **facts: Any) -> list[float]:
        def one_round() -> None:
            clock.seconds += run()

        benchmark.pedantic(one_round, rounds=rounds)
        packages = REGISTRY.tokenizers[tokenization.tokenizer].packages
        benchmark.extra_info.update(
            tokenization=tokenization.id, model=tokenization.model, size=tokenization.size,
            tokenizer=tokenization.tokenizer, machine=harness.target.fields(),
            versions=harness.toolchain.runtime_versions(packages), threads=harness.settings.threads, max_length=GLUE_LENGTH,
            **facts,
        )  # fmt: skip
        # Under xdist, pytest-benchmark measures nothing.
        return [] if benchmark.stats is None else list(benchmark.stats.stats.data)

    return measure


def test_throughput(
    harness: Harness,
    tokenization: Tokenization,
    tokenizer_pool: TokenizerPool,
    tokenizer: TokenizerSession,
    vocabulary: list[str],
    pairs: dict[str, list[Pair]],
    timed: Callable[..., list[float]],
) -> None:
    """Measures tokens a second for the whole dev set in one call; special tokens count, padding does not.

    A library uses threads if that is its default. The call is warm: a tokenizer's cache already contains the words.
    """
    dev = pairs["dev"]
    made = tokenizer.encode(dev)
    tokens = int(made["attention_mask"].sum())
    differing = len(differences(dev, tokenizer_pool.reference(tokenization, GLUE_LENGTH).encode(dev), made, vocabulary))
    warm = statistics.median(tokenizer.time(dev) for _ in range(3))
    facts = {"pairs": len(dev), "tokens": tokens, "differing": differing, "load_ms": tokenizer.load_ms}
    seconds = timed(lambda: tokenizer.time(dev), max(MIN_ROUNDS, math.ceil(MIN_SECONDS / warm)), **facts)
    if seconds:
        facts["tokens_per_second"] = tokens / statistics.median(seconds)
    note(harness.store, tokenization, **facts)


def test_single_pairs(
    request: pytest.FixtureRequest,
    harness: Harness,
    tokenization: Tokenization,
    tokenizer: TokenizerSession,
    inference: Inference,
    pairs: dict[str, list[Pair]],
    timed: Callable[..., list[float]],
) -> None:
    """Measures microseconds for a single pair, once for every pair of the dev set, and the share of tokenization in latency.

    The share is that of tokenization plus inference at batch 1.
    """
    dev = pairs["dev"]
    for pair in dev[:50]:
        tokenizer.time([pair])
    turn = itertools.cycle(dev)
    seconds = timed(lambda: tokenizer.time([next(turn)]), len(dev))
    facts: dict[str, Any] = {"inference_ms": {}}
    if seconds:
        facts |= {"pair_us": statistics.median(seconds) * 1e6, "pair_p95_us": float(np.percentile(seconds, 95)) * 1e6}
        own = statistics.fmean(seconds)
        for name, other in inference(tokenization.model, tokenization.size).items():
            facts[share(name)] = own / (own + other)
            facts["inference_ms"][name] = other * 1e3
    request.getfixturevalue("benchmark").extra_info.update(facts)
    note(harness.store, tokenization, **facts)
