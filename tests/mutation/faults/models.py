"""Faults of the code of a model: layers of PyTorch and of Keras that compute something else."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from fixtures.core.registry import Lowering
from tests.mutation.faults.patches import KERAS, Patches, alters, during, eager, in_force, masks, traced
from tests.mutation.faults.runtimes import SessionFault
from tests.mutation.faults.spec import BuildFault, Fault

WINDOW, SIGMAS = 128, 3.0
#: The layer that has a fault of a single layer.
LAYER = 1


def _norms(model: Any) -> Iterator[Any]:
    return (module for module in model.modules() if type(module).__name__.endswith("LayerNorm"))


def _unbiased(model: Any) -> None:
    def forward(norm: Any, x: Any) -> Any:
        centred = x - x.mean(-1, keepdim=True)
        variance = (centred * centred).sum(-1, keepdim=True) / (x.shape[-1] - 1)
        return centred * (variance + norm.eps).rsqrt() * norm.weight + norm.bias

    for norm in _norms(model):
        norm.forward = functools.partial(forward, norm)


def _unbiased_keras() -> Patches:
    import keras

    def call(self: Any, inputs: Any) -> Any:
        x = keras.ops.cast(inputs, "float32")
        centred = x - keras.ops.mean(x, -1, keepdims=True)
        variance = keras.ops.sum(keras.ops.square(centred), -1, keepdims=True) / (x.shape[-1] - 1)
        made = centred * keras.ops.rsqrt(variance + self.epsilon) * self.gamma + self.beta
        return keras.ops.cast(made, self.compute_dtype)

    yield mock.patch.object(keras.layers.LayerNormalization, "call", call)


def _clipped(model: Any) -> None:
    def clip(norm: Any, args: Any, x: Any) -> Any:
        mean, sigma = x.mean(-1, keepdim=True), x.std(-1, keepdim=True)
        return x.minimum(mean + SIGMAS * sigma).maximum(mean - SIGMAS * sigma)

    for norm in _norms(model):
        norm.register_forward_hook(clip)


def _clipped_keras() -> Patches:
    import keras

    right = keras.layers.LayerNormalization.call

    def call(self: Any, inputs: Any) -> Any:
        x = right(self, inputs)
        mean, sigma = keras.ops.mean(x, -1, keepdims=True), keras.ops.std(x, -1, keepdims=True)
        return keras.ops.minimum(keras.ops.maximum(x, mean - SIGMAS * sigma), mean + SIGMAS * sigma)

    yield mock.patch.object(keras.layers.LayerNormalization, "call", call)


def _without_tanh(model: Any) -> None:
    import torch

    for module in model.modules():
        if type(module).__name__ == "BertPooler":
            module.activation = torch.nn.Identity()


def _without_tanh_keras() -> Patches:
    from fixtures.models.bert import Bert

    yield mock.patch.object(Bert, "sequence_head", tuple((name, "linear") for name, _ in Bert.sequence_head))


def _windowed(mask: Any) -> Any:
    import torch

    place = torch.arange(mask.shape[-1])
    return mask.masked_fill((place[:, None] - place).abs() > WINDOW, torch.finfo(mask.dtype).min)


def _causal(model: Any) -> None:
    """A causal mask in ``LAYER`` only, where the mask is the additive one of :func:`tests.mutation.faults.patches.masks`."""
    import torch

    def change(module: Any, args: Any, kwargs: Any) -> Any:
        hidden, *rest = args
        mask = rest.pop(0) if rest else kwargs.pop("attention_mask")
        place = torch.arange(mask.shape[-1])
        return (hidden, mask.masked_fill(place > place[:, None], torch.finfo(mask.dtype).min), *rest), kwargs

    for name, module in model.named_modules():
        if name.endswith(f"layer.{LAYER}"):
            module.register_forward_pre_hook(change, with_kwargs=True)


def _attending(allowed: Callable[[Any, Any], Any], layer: int | None = None) -> Patches:
    """Makes all or one of KerasHub's encoder blocks attend from position i to j only where ``allowed(i, j)``."""
    import keras
    from keras_hub.layers import TransformerEncoder

    right = TransformerEncoder.call

    @functools.wraps(right)
    def call(self: Any, inputs: Any, padding_mask: Any = None, attention_mask: Any = None, **kwargs: Any) -> Any:
        if layer is None or self.name.endswith(f"_{layer}"):
            batch, length = keras.ops.shape(inputs)[0], keras.ops.shape(inputs)[1]
            place = keras.ops.arange(length)
            mask = keras.ops.cast(allowed(place[:, None], place[None]), "int32")
            attention_mask = keras.ops.broadcast_to(mask[None], (batch, length, length))
        return right(self, inputs, padding_mask, attention_mask, **kwargs)

    yield mock.patch.object(TransformerEncoder, "call", call)


def _near(i: Any, j: Any) -> Any:
    import keras

    return keras.ops.abs(i - j) <= WINDOW


def _pairs(
    name: str,
    says: str,
    *families: str,
    keras: Callable[[], Patches],
    alter: Callable[[Any], None] = lambda model: None,
    mask: Callable[[Any], Any] | None = None,
) -> tuple[Fault, Fault]:
    """The fault in both forms: in the session where the session runs the model's code, in the build elsewhere."""

    def patches(low: Lowering) -> Patches:
        if low.backend in KERAS:
            from fixtures.backends import _keras

            _keras.import_tensorflow()
            yield from keras()
            return
        yield from alters(alter)
        if mask is not None:
            yield from masks(mask)

    def opened(backend: Any) -> AbstractContextManager[None]:
        alter(backend.model)
        return in_force(masks(mask) if mask is not None else iter(()))

    return (
        BuildFault(name=name, says=says, during=during(patches), on=traced, families=families),
        SessionFault(name=name, says=says, opened=opened, on=eager, families=families),
    )


FAULTS: tuple[Fault, ...] = (
    *_pairs("unbiased_norm", "layer norms divide by N - 1", alter=_unbiased, keras=_unbiased_keras),
    *_pairs("clipped", "the layer norms' outputs are clipped at 3 sigma", alter=_clipped, keras=_clipped_keras),
    *_pairs("pooler_linear", "the pooler's tanh is missing", "bert", alter=_without_tanh, keras=_without_tanh_keras),
    *_pairs(
        "window",
        "attention sees 128 tokens to either side and no further",
        mask=_windowed,
        keras=lambda: _attending(_near),
    ),
    *_pairs(
        "causal_layer",
        "one layer sees no later tokens",
        alter=_causal,
        mask=lambda mask: mask,
        keras=lambda: _attending(lambda i, j: j <= i, LAYER),
    ),
)
