"""Converts a SavedModel whose weights TensorFlow's converter loses; a worker process calls :func:`convert`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fixtures.backends import _keras, tflite
from fixtures.core.registry import Job
from fixtures.core.spec import Shape


def convert(say: Callable[[str], None], out: str, checkpoint: str, tracked: bool) -> dict[str, Any]:
    """Build ``tflite-f32`` of a checkpoint from a SavedModel.

    With ``tracked``, the SavedModel tracks the Keras model and its variables, as by default; otherwise only the variables.
    """
    root, folder = Path(out), Path(checkpoint)
    tf, config, shape = _keras.import_tensorflow(), _keras.configuration(folder), Shape.read(folder)
    job = Job(root, folder, shape, "f32", "", saturates=False, source=root)
    encoder = _keras.backbone(folder, config, "float32")
    model = _keras.classifier(encoder, folder, config["model_type"], "float32")

    def call(tensors: tuple[Any, ...]) -> tuple[Any, Any]:
        given = {_keras.INPUTS[name]: tensor for name, tensor in zip(shape.inputs, tensors, strict=True)}
        logits, hidden = model(given, training=False)
        return tf.identity(logits), tf.identity(hidden)

    variables = model if tracked else [variable.value for variable in model.variables]
    _keras.export(job, call, _keras.layer_norms(encoder), variables)
    made: dict[str, Any] = tflite.f32(job)
    return made
