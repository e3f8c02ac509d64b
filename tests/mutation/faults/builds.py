"""Faults of a lowering: wrong model code, library calls that differ from the declaration, wrong numbers in a file."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from fixtures.core.registry import Job, Lowering
from tests.mutation.faults import files
from tests.mutation.faults.patches import KERAS, Patches, during, eager, in_force, masks, traced
from tests.mutation.faults.runtimes import SessionFault
from tests.mutation.faults.spec import BuildFault

#: The backends whose quantizer can be asked for one scale a matrix, as :func:`_per_tensor` does.
PER_CHANNEL = (
    "pytorch", "torchscript", "tflite", "onnxruntime", "onnxruntime_fused", "onnxruntime_tensorflow", "onnxruntime_dynamo",
)  # fmt: skip
#: The number that a mask adds to the score of a padded position; exp(-10) of a real position's weight remains.
TOO_SMALL = -10.0


def _small_mask(low: Lowering) -> Patches:
    if low.backend in KERAS:
        softmax = import_module("keras.src.layers.activations.softmax")
        yield mock.patch.object(softmax, "_large_negative_number", return_value=TOO_SMALL)
    else:
        yield from masks(lambda mask: mask.clamp(min=TOO_SMALL))


def _small_mask_here(backend: Any) -> AbstractContextManager[None]:
    return in_force(masks(lambda mask: mask.clamp(min=TOO_SMALL)))


def _overflow_here(backend: Any) -> AbstractContextManager[None]:
    """Computes (1 - mask) times a number that is minus infinity in float16, like old models; 0 times that is NaN."""
    return in_force(masks(lambda mask: (mask != 0).to(mask.dtype) * float("-inf")))


def _dropout(low: Lowering) -> Patches:
    if low.backend in KERAS:
        from fixtures.backends import _keras

        classifier = _keras.classifier
        yield mock.patch.object(_keras, "classifier", lambda *arguments: _Training(classifier(*arguments)))
        return
    import torch

    from fixtures.backends import _torch

    wrapped, export = _torch.with_outputs, torch.onnx.export
    yield mock.patch.object(_torch, "with_outputs", lambda *arguments, **options: wrapped(*arguments, **options).train())
    training = {"training": torch.onnx.TrainingMode.TRAINING, "do_constant_folding": False}
    yield mock.patch.object(torch.onnx, "export", functools.wraps(export)(functools.partial(export, **training)))


class _Training:
    """A Keras model that always runs in training mode."""

    def __init__(self, model: Any) -> None:
        self.model, self.variables = model, model.variables

    def __call__(self, inputs: Any, training: bool) -> Any:
        return self.model(inputs, training=True)


def _train(backend: Any) -> AbstractContextManager[None]:
    backend.model.train()
    return nullcontext()


def _per_tensor(low: Lowering) -> Patches:
    """Uses one scale for each weight matrix, whatever scales the lowering requests."""
    if low.backend in ("pytorch", "torchscript"):
        from fixtures.backends import _torch_dynamic

        quantized = _torch_dynamic.quantized
        yield mock.patch.object(
            _torch_dynamic,
            "quantized",
            lambda model, qconfig, weight_bits=8: quantized(model, "default_dynamic_qconfig", weight_bits),
        )
    elif low.backend == "tflite" and low.calibrates:
        from ai_edge_quantizer import qtyping
        from ai_edge_quantizer.quantizer import Quantizer

        whole = qtyping.QuantGranularity.TENSORWISE
        static, dynamic = Quantizer.add_static_config, Quantizer.add_dynamic_config
        yield mock.patch.object(
            Quantizer, "add_static_config", lambda *args, **kwargs: static(*args, **kwargs, weight_granularity=whole)
        )
        yield mock.patch.object(
            Quantizer, "add_dynamic_config", lambda *args, **kwargs: dynamic(*args, **kwargs, granularity=whole)
        )
    elif low.backend == "tflite":
        import tensorflow

        lite = tensorflow.lite.TFLiteConverter
        convert = lite.from_saved_model

        def made(*args: Any, **kwargs: Any) -> Any:
            converter = convert(*args, **kwargs)
            converter._experimental_disable_per_channel = True
            converter._experimental_disable_per_channel_quantization_for_dense_layers = True
            return converter

        yield mock.patch.object(lite, "from_saved_model", made)
    else:
        import onnxruntime.quantization as quantization

        for name in ("quantize_dynamic", "quantize_static"):
            function = getattr(quantization, name)
            yield mock.patch.object(quantization, name, _once_a_tensor(function))


def _once_a_tensor(function: Any) -> Any:
    return lambda *args, **kwargs: function(*args, **{**kwargs, "per_channel": False})


def _random_calibration(job: Job) -> Job:
    """Replaces the calibration batches of the job by random ids of the same shapes during the build."""
    assert job.calibration is not None
    random = np.random.default_rng(0)
    with np.load(str(job.calibration)) as arrays:
        drawn = {
            name: random.integers(0, job.shape.vocabulary, array.shape) if name.endswith("input_ids") else array
            for name, array in arrays.items()
        }
    path = job.out / "random.npz"
    np.savez(path, **drawn)
    return replace(job, calibration=path)


def _forget_calibration(folder: Path) -> None:
    (folder / "random.npz").unlink()


def _int8(low: Lowering) -> bool:
    return low.precision.startswith("int")


def _can_be_rewritten(low: Lowering) -> bool:
    """True for int8 files that ``files`` can change; TorchScript packs its weights."""
    return _int8(low) and low.backend != "torchscript"


def _in_half(low: Lowering) -> bool:
    """True for lowerings that compute in float16; TFLite converts its float16 weights to float32 first."""
    return low.precision == "f16" and low.backend != "tflite"


MASK = "the mask adds -10 to the scores of padded positions, a finite value too small"
DROPOUT = "dropout is left on"
OVERFLOW = "the mask overflows in float16"
FAULTS = (
    BuildFault(name="finite_mask", says=MASK, during=during(_small_mask), on=traced),
    SessionFault(name="finite_mask", says=MASK, opened=_small_mask_here, on=eager),
    BuildFault(name="dropout", says=DROPOUT, during=during(_dropout), on=traced),
    SessionFault(name="dropout", says=DROPOUT, opened=_train, on=eager),
    SessionFault(name="mask_overflow", says=OVERFLOW, opened=_overflow_here, on=lambda low: eager(low) and _in_half(low)),
    BuildFault(
        name="mask_overflow",
        says=OVERFLOW,
        after=files.overflow_the_mask,
        on=lambda low: low.backend == "onnxruntime" and _in_half(low),  # a fused Attention uses the mask directly
        inherited=False,
    ),
    BuildFault(
        name="per_tensor",
        says="one scale for each weight matrix where one for each channel is declared",
        during=during(_per_tensor),
        on=lambda low: _int8(low) and low.backend in PER_CHANNEL,
        inherited=False,
    ),
    BuildFault(
        name="random_calibration",
        says="calibrated on random ids",
        before=_random_calibration,
        after=_forget_calibration,
        on=lambda low: low.calibrates,
        inherited=False,
    ),
    BuildFault(
        name="zero_point",
        says="the zero point of the int8 weights is off by one",
        after=files.shift_weights,
        on=_can_be_rewritten,
        inherited=False,
    ),
    BuildFault(
        name="scales_exchanged",
        says="the scales of neighbouring channels of the int8 weights are exchanged",
        after=files.exchange_scales,
        on=_can_be_rewritten,
        inherited=False,
    ),
)
