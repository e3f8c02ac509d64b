"""Records the operators of every exported file, and one encoder layer for the report's drawings."""

from __future__ import annotations

import pytest

from fixtures.core.spec import Variant
from fixtures.harness.harness import Harness
from fixtures.harness.session import Session
from fixtures.report.operator_graph import EVENT, described


@pytest.mark.phase("build")
@pytest.mark.variants(drawn=True)
def test_graph(harness: Harness, variant: Variant, session: Session) -> None:
    """The second encoder layer is a connected graph, from its input hidden state to its last layer norm."""
    found = described(session.graph())
    operators, edges = found["layer"]["operators"], found["layer"]["edges"]
    unused = set(range(len(operators) - 1)) - {source for source, _ in edges}
    assert operators, f"{variant.id}: no operator lies between the layer norms of two layers"
    assert -1 in {source for source, _ in edges}, f"{variant.id}: nothing takes the layer's input"
    assert not unused, f"{variant.id}: nothing takes what {[operators[i] for i in sorted(unused)]} give"
    harness.store.record(EVENT, variant=variant.id, **found)
