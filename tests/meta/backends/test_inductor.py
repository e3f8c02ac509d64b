"""Tests that compiled code is refused on a CPU that lacks its instructions, before it can die of one."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from fixtures.core.errors import RemoteError
from fixtures.core.registry import REGISTRY
from fixtures.core.spec import Variant
from fixtures.harness.harness import Harness


@pytest.mark.backend("inductor")
def test_without_a_compiler_the_backend_is_absent(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    assert harness.toolchain.absent(REGISTRY.backends["inductor"]) == ()
    monkeypatch.setenv("PATH", "/nowhere")
    assert harness.toolchain.absent(REGISTRY.backends["inductor"]) == ("the program g++",)
    assert harness.toolchain.absent(REGISTRY.backends["pytorch"]) == ()


@pytest.mark.slow
@pytest.mark.backend("inductor")
def test_a_package_for_another_cpu_is_refused(harness: Harness) -> None:
    variant = Variant("bert-base-cased", "tiny", "inductor", "f32")
    session, artifact = harness.open(variant), harness.artifact(variant)
    meta = {**artifact.meta, "isa": [*artifact.meta["isa"], "avx1024", "mmx9"]}
    what = {"backend": "inductor", "artifact": str(artifact.path), "shape": asdict(session.shape), "threads": 1}
    try:
        with pytest.raises(RemoteError, match="compiled for a CPU with avx1024, mmx9; build it for this one"):
            session.worker.ask("open", timeout=120, meta=meta, **what)
    finally:
        harness.pool.release(session)
