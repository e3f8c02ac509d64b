"""Jobs that go wrong in every way a child can; called in real child processes."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Say = Callable[[str], None]


def fine(say: Say, out: str) -> dict[str, Any]:
    say("working")
    (Path(out) / "file.bin").write_bytes(b"payload")
    return {"answer": 42}


def raises(say: Say, out: str) -> None:
    raise ValueError("this model has three heads")


def segfaults(say: Say, out: str) -> None:
    print("last words", file=sys.stderr, flush=True)
    ctypes.string_at(0)


def exits(say: Say, out: str) -> None:
    os._exit(7)


def is_killed(say: Say, out: str) -> None:
    (Path(out) / "half.bin").write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()  # the kernel may let this thread run on for a moment, long enough to answer


def hangs(say: Say, out: str) -> None:
    time.sleep(600)


def loses_its_weights(say: Say, out: str) -> None:
    """A SavedModel whose Keras model is tracked beside its function: TFLite's converter then finds no variables."""
    from fixtures.backends import _keras, tflite
    from fixtures.registry import Job
    from fixtures.spec import Shape

    tf = _keras.import_tensorflow()
    ids = tf.keras.Input((None,), dtype="int32")
    model = tf.keras.Model(ids, tf.keras.layers.Embedding(4096, 64)(ids))
    module = tf.Module()
    module.model = model
    signature = [tf.TensorSpec([None, None], tf.int32, name="input_ids")]
    serve = tf.function(lambda input_ids: {"logits": model(input_ids)}, input_signature=signature)
    folder = Path(out) / "source"
    tf.saved_model.save(module, str(folder / _keras.FOLDER), signatures={_keras.SERVE: serve})
    shape = Shape(1, 1, 64, 256, 4096, 128, 0, ("input_ids",))
    tflite.f32(Job(Path(out), Path(out), shape, "f32", "", False, source=folder))
