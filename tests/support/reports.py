"""Makes reports with the command, and sample files for it."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

from fixtures.core.machine import this_machine
from fixtures.report.results import SCHEMA
from fixtures.store.source_code import ROOT

Content = dict[str, Any]
PLAIN, QUICK = "minilm-l6-onnxruntime-f32", "minilm-l6-onnxruntime-int8_dynamic"


def report(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs ``python -m bench.report``."""
    command = [sys.executable, "-m", "bench.report", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def other_machine(content: Content) -> Content:
    """A reduced copy of a run, marked as a sample, with a CPU that does not exist."""
    other = copy.deepcopy(content)
    found = other["encoder_parity"]
    found["machine"] |= {"architecture": "aarch64", "marker": "arm", "cpu": "Sample ARM", "isa": ["asimddp"]}
    found["sample"] = "reduced by hand from a run on another CPU"
    found["rows"] = {i: row for i, row in found["rows"].items() if "fused" not in i}
    return other


def small() -> Content:
    """A file with a value in every field that a page shows: two variants of an imaginary model, on this machine."""
    ids = [f"sample-tiny-{name}-f32" for name in ("pytorch", "onnxruntime")]
    rounds = [[0.002 + 0.0001 * (i % 5) for i in range(20)], [0.001 + 0.0001 * (i % 3) for i in range(20)]]
    rows: Content = {
        identifier: {
            "subject": "sample-tiny", "backend": backend, "precision": "f32", "recipe": "", "baseline": ids[0], "verdict": "ok",
            "size_mib": 16.0, "load_ms": 59.0, "first_ms": 2.0, "median_ms": 1.0, "p95_ms": 1.2, "loaded_mib": 96.0,
            "peak_mib": 122.0,
            "resident_mib": 108.0, "of_peak": 0.5, "samples_per_second": 900.0, "logits_db": 119.7,
            "metric": "accuracy", "score": 0.8, "baseline_score": 0.8, "metrics": {"accuracy": 0.8, "f1": 0.85},
            "baseline_metrics": {"accuracy": 0.8, "f1": 0.851},
            "metric_losses": {"f1": {"estimate": 0.001, "low": -0.01, "high": 0.012}},
            "flips": 0.01, "rows": 408, "flips_low": 0.003, "flips_high": 0.025,
            "accuracy_word": "inconclusive", "accuracy_loss": 0.002,
            "accuracy_loss_low": -0.012, "accuracy_loss_high": 0.014, "accuracy_margin": 0.008, "more_rows": 640,
            "agreement_violations": [], "accuracy_violations": [], "unstable": None,
            "conditions": "quiet", "known": "a reason", "instead": "a remedy", "link": "https://example.org/1",
            "against": "other",
            "ratio": 1.01, "ratio_low": 0.99, "ratio_high": 1.03, "processes": 6, "rounds": 60, "compare_seconds": 9.0,
            "gate": "not slower",
            "throughput": {
                "samples": {"unsorted": 256, "sorted": 256, "maximum": 64},
                "batch": 32, "longest": 128, "static": False, "rounds": 3, "conditions": "clean",
                "per_second": {"unsorted": 900.0, "sorted": 1200.0, "maximum": 600.0},
                "padding": {"unsorted": 0.3, "sorted": 0.05, "maximum": 0.6}, "tokenised_per_second": 6000.0,
            },
        }
        for identifier, backend in zip(ids, ("pytorch", "onnxruntime"), strict=True)
    }  # fmt: skip
    cells = [
        {"variant": ids[1], "shape": "dynamic", "threads": 1, "batch": batch, "sequence_length": length,
        "median_ms": 0.1 * length,
         "samples_per_second": 10000 / length, "unstable": None}
        for batch in (1, 8) for length in (8, 32, 128)
    ]  # fmt: skip
    change = {
        "variant": ids[1], "versions": "a 1 -> a 2", "state": "ok", "why": "", "agreement_db": 99.0, "flips": 0.0,
        "mib_before": 1.0,
        "mib_after": 2.0, "acc_before": 0.8, "acc_after": 0.8, "ratio": 1.0, "ratio_low": 0.9, "ratio_high": 1.1,
        "unstable": None,
    }  # fmt: skip
    tokenizer = {
        "subject": "sample-tiny", "tokens_per_second": 1e5, "pair_us": 90.0, "pair_p95_us": 99.0, "differing": 0, "pairs": 9,
        "share_onnxruntime": 0.1,
    }  # fmt: skip
    shared = {
        "variant": ids[1], "batches": "row by row", "threads": 1, "most": 1, "seconds": 10.0, "limit_ms": 100.0,
        "alone_ms": 2.0, "baseline_ms": 5.0, "screened": 400.0, "stream_ms": 2.1, "text_ms": 2.4,
        "multi_ms": None, "conditions": "clean",
    }  # fmt: skip
    held = {
        "offline": 420.0, "holds_at": 380.0, "fails_at": 400.0, "server_ms": 60.0, "mean_batch": 1.0, "of_bound": 0.76,
        "unique_mib": 90.0, "joules": None, "no_joules": "no counters",
        "points": [{"rate": 380.0, "p99_ms": 60.0, "holds": True}, {"rate": 400.0, "p99_ms": 300.0, "holds": False}],
    }  # fmt: skip
    loads = [
        {**shared, "server": "1 session x 1 thread", "sessions": 1, **held},
        {**shared, "server": "2 sessions x 1 thread", "sessions": 2},
    ]
    layer = {"operators": ["MatMul", "Add", "Gelu"], "edges": [[-1, 0], [0, 1], [1, 2], [-2, 1]]}
    best = {"per_second": 2e11, "by": "torch.mm"}
    return {
        "datetime": "2026-01-02T03:04:05+00:00",
        "machine_info": {"encoder_parity": this_machine().fields()},
        "benchmarks": [
            {"extra_info": {"variant": {"id": identifier}, "threads": 1, "batch": 1, "sequence_length": 128,
            "visits": [{"median_ms": 1e3 * data[i], "rounds": 20} for i in range(3)]},
            "stats": {"data": data}}
            for identifier, data in zip(ids, rounds, strict=True)
        ],
        "encoder_parity": {
            "schema": SCHEMA, "command": "pytest bench", "versions": {"python": "3.11"}, "machine": this_machine().fields(),
            "setting": {"threads": 1, "batch": 1, "sequence_length": 128},
            "data": {
                "kind": "MRPC", "task": "MRPC", "labels": ["not_equivalent", "equivalent"], "train_rows": 3668, "dev_rows": 408,
                "majority_accuracy": 0.684,
            },
            "runtimes": {"onnxruntime": {"provider": "CPUExecutionProvider", "providers": ["CPUExecutionProvider"]}},
            "weights": {"sample-tiny": "seeded (2021)"}, "rows": rows, "tokenizers": {"sample-tiny-keras_hub": tokenizer},
            "grid": cells, "load": loads, "gate": 0.05, "stacks": [change],
            "sanity": [{"what": "other", "ratio": 1.0, "low": 0.99, "high": 1.01, "unstable": None}],
            "profile": [{"variant": ids[1], "profiler": "onnxruntime", "trace": "t.json", "seconds": {"MatMul": 0.001,
            "Add": 0.0005}}],
            "claims": [dict.fromkeys(("id", "sentence", "figures", "platform", "here", "word"), "x")],
            "graph": [{"variant": ids[1], "file": "model.onnx", "operators": {"MatMul": 16, "Add": 3}, "layer": layer}],
            "peaks": [{"found": {"f32": best}}],
        },
    }  # fmt: skip
