"""Patches of libraries that are in force while an artifact is built or run."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any
from unittest import mock

from fixtures.core.registry import Lowering

KERAS = ("tensorflow", "tensorflow_xla", "tflite", "onnxruntime_tensorflow")
Patches = Iterator[Any]


def during(patches: Callable[[Lowering], Patches]) -> Callable[[Lowering], AbstractContextManager[Any]]:
    """A context manager in which all of ``patches(lowering)`` are in force."""

    @contextlib.contextmanager
    def within(low: Lowering) -> Iterator[None]:
        with in_force(patches(low)):
            yield

    return within


@contextlib.contextmanager
def in_force(patches: Patches) -> Iterator[None]:
    """A context in which all of ``patches`` are in force."""
    with contextlib.ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        yield


def masks(change: Callable[[Any], Any]) -> Patches:
    """Patches the masks of transformers' models: ``change`` gets the additive mask, [batch, 1, queries, keys]."""
    import torch
    from transformers.masking_utils import create_bidirectional_mask

    def create(*args: Any, **kwargs: Any) -> Any:
        made = create_bidirectional_mask(*args, **kwargs, allow_is_bidirectional_skip=False)
        if made.dtype == torch.bool:  # scaled_dot_product_attention takes both kinds
            dtype = kwargs["inputs_embeds"].dtype
            made = torch.zeros_like(made, dtype=dtype).masked_fill(~made, torch.finfo(dtype).min)
        return change(made)

    for family in ("bert", "distilbert", "ibert"):
        module = import_module(f"transformers.models.{family}.modeling_{family}")
        yield mock.patch.object(module, "create_bidirectional_mask", create)


def alters(alter: Callable[[Any], None]) -> Patches:
    """Calls ``alter(model)`` on every PyTorch model before it is exported or traced."""
    from fixtures.backends import _torch

    wrapped = _torch.with_outputs

    @functools.wraps(wrapped)
    def with_outputs(model: Any, *arguments: Any, **options: Any) -> Any:
        alter(model)
        return wrapped(model, *arguments, **options)

    yield mock.patch.object(_torch, "with_outputs", with_outputs)


def eager(low: Lowering) -> bool:
    """True if the session runs the model's code."""
    return low.backend in ("pytorch", "torchao")


def traced(low: Lowering) -> bool:
    """True if only the build runs the model's code; CTranslate2 has code of its own."""
    return not eager(low) and low.backend != "ctranslate2"
