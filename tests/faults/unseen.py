"""What no bound can see without false alarms, and why: a bound that saw it would reject right builds, or it changes nothing."""

from __future__ import annotations

import fnmatch

_BELOW = "its effect is far below the rounding of this precision, and no label flips for it"
_LESS = ("*-f16", "*-bf16", "*-int8_dynamic", "*-int8_static", "*-int16x8")
_UNFUSED = ("onnxruntime", "onnxruntime_tensorflow", "pytorch", "torchscript", "tensorflow*", "tflite")
#: By fault: patterns of ``backend-precision``, and the reason.
UNSEEN: dict[str, dict[str, str]] = {
    "epsilon": dict.fromkeys(_LESS, _BELOW),
    # The optimizer fuses no attention with a mask that it does not know, and the build refuses that.
    "finite_mask": {pattern.replace("*", backend): _BELOW for pattern in _LESS for backend in _UNFUSED},
    "tanh_gelu": dict.fromkeys(_LESS[1:], _BELOW),
    "stored_in_half": dict.fromkeys(_LESS, "float16's 11 bits are what this precision keeps of a weight, or more"),
    "half_outputs": dict.fromkeys(_LESS, "float16's 11 bits are what this precision keeps of an output, or more"),
    "random_calibration": dict.fromkeys(
        ("*-int8_static", "*-int16x8"),
        "ranges of random ids are about those of text: the layer norms before every quantized product see to that",
    ),
    "zero_point": {
        "onnxruntime*-int8_static": "what is quantized here follows a layer norm, whose outputs add up to nearly nothing, and "
        "a constant added to a column of weights is multiplied by that sum",
    },
    "dropout": dict.fromkeys(
        ("onnxruntime-f32", "onnxruntime-f16"),
        "ONNX Runtime removes Dropout from the graph when it loads the file: it has no effect",
    ),
}


def reason(fault: str, backend: str, precision: str) -> str | None:
    """Why nobody can see ``fault`` there, or None if somebody must."""
    cell = f"{backend}-{precision}"
    return next((why for pattern, why in UNSEEN.get(fault, {}).items() if fnmatch.fnmatchcase(cell, pattern)), None)
