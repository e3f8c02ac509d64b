"""Lists, with reasons, faults that no bound can detect without failing correct builds, faults that change nothing, and faults
that some machines show.
"""

from __future__ import annotations

import fnmatch

_BELOW = "its effect is far below the rounding of this precision"
_HALF = ("*-f16", "*-bf16")
#: TFLite stores float16 and computes in float32.
_IN_HALF = ("onnxruntime*-f16", "pytorch-f16", "*-bf16")
#: CTranslate2 shows its head, and no stage of the encoder.
_END_TO_END = {
    "ctranslate2-int8_dynamic": "its effect is below the rounding of 8 bits end to end, and the runtime shows no stage before"
    " the head"
}
#: For each fault: patterns of ``backend-precision``, and the reason.
UNSEEN: dict[str, dict[str, str]] = {
    "epsilon": {**dict.fromkeys(_IN_HALF, _BELOW), **_END_TO_END},
    "stored_in_half": dict.fromkeys(_HALF, "float16's 11 bits are what this precision keeps of a weight, or more"),
    "half_outputs": dict.fromkeys(_IN_HALF, "float16's 11 bits are what this precision keeps of an output, or more"),
    "tanh_gelu": {
        "*-bf16": "its effect on a stage, 74 dB, is more than 20 dB below the rounding of bfloat16",
        **_END_TO_END,
    },
    "finite_mask": {
        **dict.fromkeys(  # the fused build does not take such a mask: its build fails
            ("onnxruntime-int8_static", "onnxruntime_tensorflow-int8_static", "tflite-int8_static", "openvino-int8_static"),
            "exp(-10) of a weight is far below the step of a softmax's 8 bits",
        ),
        "*-bf16": "exp(-10) of a weight is far below the rounding of bfloat16",
    },
    "inputs_changed": {"tensorflow_xla-*": "the runtime gets a padded copy of the caller's inputs: it has no effect on them"},
    "full_rows_inverted": {
        "onnxruntime*-f16": "the mask's -65504 is finite: added to every score of a row alike, which no softmax sees",
        "onnxruntime_fused-int8_static": "the fused attention adds -10000 to every score of a row alike, which leaves 82 dB",
    },
    "random_calibration": dict.fromkeys(
        ("*-int8_static", "*-int16x8"),
        "ranges of random ids are about those of text: the layer norms before every quantized product see to that",
    ),
    "dropout": {
        **dict.fromkeys(
            ("onnxruntime-f32", "onnxruntime-f16", "onnxruntime_mobile-f32"),
            "ONNX Runtime removes Dropout from the graph when it loads the file: it has no effect",
        ),
        "openvino-*": "OpenVINO's converter leaves Dropout out: it has no effect",
    },
    **dict.fromkeys(("query_bias", "head_scaled"), _END_TO_END),
}

#: Faults that tests detect on some machines and miss on others, in the same form.
BY_MACHINE: dict[str, dict[str, str]] = {
    "more_threads": dict.fromkeys(
        ("tflite-int8_static", "tflite-int16x8", "openvino-*", "ctranslate2-*"),
        "most of its operations run in one thread: the cores, and what else they do, decide whether a second one is seen",
    ),
}


def never(fault: str, backend: str, precision: str) -> str | None:
    """The reason why no test detects ``fault`` in this cell on any machine, or None if one does on some or on all."""
    return _declared(UNSEEN, fault, f"{backend}-{precision}")


def reason(fault: str, backend: str, precision: str) -> str | None:
    """The reason why tests may miss ``fault`` in this cell, on some machines or on all, or None if a test must detect it."""
    return never(fault, backend, precision) or _declared(BY_MACHINE, fault, f"{backend}-{precision}")


def _declared(table: dict[str, dict[str, str]], fault: str, cell: str) -> str | None:
    return next((why for pattern, why in table.get(fault, {}).items() if fnmatch.fnmatchcase(cell, pattern)), None)
