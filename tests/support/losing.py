"""Converts a SavedModel whose weights TensorFlow's converter loses; a worker process calls :func:`convert`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fixtures.backends import _keras, tflite
from fixtures.core.families import read_family
from fixtures.core.registry import Job


def convert(say: Callable[[str], None], out: str, checkpoint: str, tracked: bool) -> dict[str, Any]:
    """Build ``tflite-f32`` of a checkpoint from a SavedModel.

    With ``tracked``, the SavedModel tracks the Keras model and its variables, as by default; otherwise only the variables.
    """
    root, folder = Path(out), Path(checkpoint)
    tf, family = _keras.import_tensorflow(), read_family(folder)
    shape = family.shape
    job = Job(root, folder, shape, "f32", "", saturates=False, source=root)
    encoder = _keras.backbone(folder, family, "float32")
    model = _keras.classifier(encoder, folder, family, "float32")

    def call(tensors: tuple[Any, ...]) -> tuple[Any, Any]:
        given = {_keras.INPUTS[name]: tensor for name, tensor in zip(shape.inputs, tensors, strict=True)}
        logits, hidden = model(given, training=False)
        return tf.identity(logits), tf.identity(hidden)

    variables = model if tracked else [variable.value for variable in model.variables]
    _keras.export(job, call, _keras.layer_norms(encoder), variables)
    made: dict[str, Any] = tflite.f32(job)
    return made
