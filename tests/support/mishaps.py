"""Jobs that fail in every way in which a worker process can fail; they run in real worker processes."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Say = Callable[[str], None]
#: A count of numbers that do not fit on the small disk of tests/robustness/test_disk.py.
TOO_MANY = 2**20


def fine(say: Say, out: str) -> dict[str, Any]:
    say("working")
    (Path(out) / "file.bin").write_bytes(b"payload")
    return {"answer": 42}


def reads(say: Say, out: str) -> int:
    """The number of bytes of the file ``out``."""
    return len(Path(out).read_bytes())


def litters(say: Say, out: str) -> str:
    """The path of a new temporary file, which this process does not remove."""
    return tempfile.mkstemp()[1]


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


def lingers(say: Say, out: str) -> None:
    """Writes a file to show that it has begun, and waits."""
    (Path(out) / "half.bin").write_bytes(b"half")
    Path(os.environ["LINGER_MARK"]).touch()
    time.sleep(float(os.environ["LINGER_SECONDS"]))


def runs_out_of_memory(say: Say, out: str) -> None:
    """Runs out of memory as under ``ulimit -v``: the allocation fails, and the process is not killed."""
    import resource

    import numpy as np

    resource.setrlimit(resource.RLIMIT_AS, (2**32, 2**32))
    np.ones(2**30)


def writes_with_numpy(say: Say, out: str) -> None:
    import numpy as np

    np.savez(Path(out) / "arrays.npz", weights=np.ones(TOO_MANY))


def writes_raw_arrays(say: Say, out: str) -> None:
    """Writes with the C library; numpy's error says how many items of how many were written."""
    import numpy as np

    with (Path(out) / "arrays.bin").open("wb") as file:
        np.ones(TOO_MANY).tofile(file)


def writes_with_torch(say: Say, out: str) -> None:
    import torch

    torch.save({"weights": torch.ones(TOO_MANY)}, Path(out) / "weights.pt")


def writes_with_safetensors(say: Say, out: str) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"weights": np.ones(TOO_MANY)}, Path(out) / "model.safetensors")


def writes_with_onnx(say: Say, out: str) -> None:
    """Writes a model whose weights are in a separate file."""
    import numpy as np
    import onnx

    weights = onnx.numpy_helper.from_array(np.ones(TOO_MANY, dtype=np.float32), "weights")
    graph = onnx.helper.make_graph([], "weights", [], [], initializer=[weights])
    onnx.save(onnx.helper.make_model(graph), Path(out) / "model.onnx", save_as_external_data=True)


def writes_to_its_log(say: Say, out: str) -> None:
    for _ in range(200):
        print("x" * 2**16, flush=True)


def fills_the_disk_and_crashes(say: Say, out: str) -> None:
    """Fills the disk and crashes, like native code that does not check return values."""
    try:
        (Path(out) / "model.bin").write_bytes(bytes(8 * TOO_MANY))
    finally:
        os.abort()


def loses_its_weights(say: Say, out: str) -> None:
    """Converts a SavedModel that also tracks the Keras model: TFLite's converter then finds no variables."""
    from fixtures.backends import _keras, tflite
    from fixtures.core.registry import Job
    from fixtures.core.spec import Shape

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
