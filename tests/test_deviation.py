"""The matched filter on synthetic outputs, whose deviations and noise are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from fixtures.agreement import Outputs, compare
from fixtures.deviation import REACH_DB, found, share

ROWS, LENGTH, HIDDEN = 12, 20, 64
MASK = (np.arange(LENGTH) < np.linspace(5, LENGTH, ROWS).astype(int)[:, None]).astype(np.int64)


def outputs(seed: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {"logits": random.standard_normal((ROWS, 2)), "last_hidden_state": random.standard_normal((ROWS, LENGTH, HIDDEN))}


def scaled(arrays: Outputs, db: float) -> dict[str, np.ndarray]:
    """``arrays`` of unit power, ``db`` below a signal of unit power."""
    return {name: np.asarray(array) * 10 ** (-db / 20) for name, array in arrays.items()}


def added(*parts: Outputs) -> dict[str, np.ndarray]:
    return {name: np.sum([part[name] for part in parts], axis=0) for name in parts[0]}


def names(deviations: dict[str, Outputs], reference: Outputs, got: Outputs) -> list[str]:
    hidden = {name: moved["last_hidden_state"] for name, moved in deviations.items()}
    return [one.name for one in found(hidden, reference, got, MASK, compare(reference, got, MASK))]


@examples(max_examples=30)
@given(seed=st.integers(0, 2**16), below=st.floats(-20, REACH_DB - 1))
def test_a_deviation_is_told_from_noise_that_hides_it(seed: int, below: float) -> None:
    """At 20 dB of noise, a direction whose effect is ``below`` that by so much: there or not."""
    reference, direction = outputs(seed), scaled(outputs(seed + 1), 20 + below)
    noise = scaled(outputs(seed + 2), 20)
    assert names({"tanh_gelu": direction}, reference, added(reference, noise, direction)) == ["tanh_gelu"]
    assert names({"tanh_gelu": direction}, reference, added(reference, noise)) == []


def test_the_share_and_its_error_are_those_of_the_rows() -> None:
    """Half of a deviation in every row is a half for certain; the whole in half of the rows is one that is not."""
    reference, direction = outputs(1)["last_hidden_state"], outputs(2)["last_hidden_state"]
    half = share("epsilon", direction, reference, reference + direction / 2, MASK)
    assert half.value == pytest.approx(0.5)
    assert half.error == pytest.approx(0, abs=1e-9)
    some = share("epsilon", direction, reference, reference + direction * (np.arange(ROWS) % 2)[:, None, None], MASK)
    assert 0.3 < some.value < 0.7
    assert some.error > 0.1


def test_what_lies_too_far_below_the_noise_is_not_looked_for() -> None:
    """Rounding is not all chance: its share of a direction that small says nothing."""
    reference, direction = outputs(1), scaled(outputs(2), 60)
    systematic = added(reference, scaled(outputs(3), 20), direction)
    assert names({"finite_mask": direction}, reference, systematic) == []


@pytest.mark.parametrize(("by", "name"), [(1, "row_before"), (-1, "row_behind")])
def test_logits_of_another_row_are_named(by: int, name: str) -> None:
    """However alike the rows are: 10 dB of difference under 15 dB of noise."""
    random = np.random.default_rng(5)
    reference = {**outputs(1), "logits": 3 + random.standard_normal((ROWS, 2))}
    noise = {**scaled(outputs(2), 30), "logits": 0.5 * random.standard_normal((ROWS, 2))}
    rolled = {**reference, "logits": np.roll(reference["logits"], by, 0)}
    assert names({}, reference, added(rolled, noise)) == [name]
    assert names({}, reference, added(reference, noise)) == []


def test_what_is_not_finite_or_has_no_hidden_state_is_no_deviation() -> None:
    reference = outputs(1)
    nothing = {name: np.full_like(array, np.nan) for name, array in reference.items()}
    assert names({"epsilon": outputs(2)}, reference, nothing) == []
    assert names({"epsilon": outputs(2)}, reference, {"logits": reference["logits"]}) == []
    assert names({"epsilon": outputs(2)}, reference, reference) == []
