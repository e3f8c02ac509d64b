"""Tests when both sides of a comparison are identical."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.core.spec import Variant
from tests.meta.timing.test_saved_run import against

BASE, OTHER = Variant("minilm-l6", "full", "pytorch", "f32"), Variant("minilm-l6", "full", "onnxruntime", "f32")


def built(digest: str, **versions: str) -> Any:
    """A harness with these package versions, whose artifacts all have this content."""
    made = SimpleNamespace(digest=digest, meta={})
    return SimpleNamespace(artifact=lambda variant: made, toolchain=SimpleNamespace(runs_by=lambda variant: versions))


@pytest.mark.parametrize(
    ("digest", "versions", "same"),
    [("a", {"numpy": "1"}, True), ("b", {"numpy": "1"}, False), ("a", {"numpy": "2"}, False)],
)
def test_what_would_run_the_same_file_by_the_same_code_and_packages_is_identical(
    digest: str, versions: dict[str, str], same: bool
) -> None:
    other = against(**vars(built("a", numpy="1")))
    other.harness = built(digest, **versions)
    assert other.identical(OTHER) is same


def test_another_backend_is_not_identical_though_the_file_is() -> None:
    assert not against(**vars(built("a", numpy="1"))).identical(OTHER)
