"""Makes a small model of a family and returns its hidden states in every form; a worker process calls :func:`shown`."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fixtures.backends import _onnx, _onnx_fusion, _onnx_precision, _torch, onnxruntime, torchscript
from fixtures.core.families import read_family
from fixtures.core.registry import Job
from fixtures.core.spec import Shape

LAYERS, HEADS, HIDDEN, VOCABULARY = 2, 2, 64, 1000
_BERT = {
    "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "hidden_size": HIDDEN, "intermediate_size": 128,
    "vocab_size": VOCABULARY, "initializer_range": 0.1,
}  # fmt: skip
_ROBERTA = {**_BERT, "max_position_embeddings": 66, "type_vocab_size": 1, "pad_token_id": 1}
#: By family, the fields of a configuration with what its hidden states depend on: shared layers, widths, windows, tables.
FIELDS: dict[str, dict[str, Any]] = {
    "bert": _BERT,
    "distilbert": {
        "n_layers": LAYERS, "n_heads": HEADS, "dim": HIDDEN, "hidden_dim": 128, "vocab_size": VOCABULARY,
        "initializer_range": 0.1,
    },
    "ibert": _ROBERTA,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": {**_ROBERTA, "bos_token_id": 5, "eos_token_id": 6},
    "electra": {**_BERT, "embedding_size": 32},
    "albert": {**_BERT, "embedding_size": 32, "num_hidden_layers": 4, "num_hidden_groups": 2},
    "mpnet": {**_BERT, "max_position_embeddings": 66},
    "deberta-v2": {
        **_BERT, "relative_attention": True, "position_buckets": 8, "pos_att_type": ["p2c", "c2p"], "share_att_key": True,
        "position_biased_input": False, "norm_rel_ebd": "layer_norm", "type_vocab_size": 0, "conv_kernel_size": 3,
    },
    "modernbert": {
        **_BERT, "num_hidden_layers": 4, "local_attention": 8, "pad_token_id": 3, "bos_token_id": 1, "eos_token_id": 2,
        "cls_token_id": 1, "sep_token_id": 2,
    },
    "mobilebert": {**_BERT, "embedding_size": 32, "intra_bottleneck_size": 32, "num_feedforward_networks": 2},
}  # fmt: skip


#: By family, the products that ``quantize_static`` quantizes: in each layer, and outside. Six dense layers without the
#: down-projection, and two products of activations, are seven.
MATMULS = {
    "electra": (7, 1),
    "albert": (7, 1),
    "deberta-v2": (11, 0),  # two more with positions, and two projections of them
    "modernbert": (5, 0),  # query, key and value are one
    "mobilebert": (11, 1),  # three more of bottlenecks, and the first of another feed-forward network
}
CALIBRATION = "calibration.npz"


def shown(say: Callable[[str], None], out: str, family: str) -> dict[str, Any]:
    """Return the stages of a small seeded model of ``family`` in every form that is exported from it.

    - ``inputs``: two rows, the second padded.
    - ``eager``: the stages that the model itself computes.
    - ``forms``: the stages by form, with the ``last_hidden_state`` of an ordinary run.
    - ``outputs``: the names of the outputs of each ONNX file.
    - ``operators``: those of the methods ``forward`` and ``layers`` of the TorchScript file, in order.
    """
    import torch

    checkpoint = Path(out) / "checkpoint"
    _seeded(family).save_pretrained(checkpoint)
    shape = _shape(family)
    inputs = dict(zip(shape.inputs, (tensor.numpy() for tensor in _torch.example(shape)), strict=True))
    np.savez(Path(out) / CALIBRATION, **{f"batch0.{name}": array for name, array in inputs.items()})
    eager = _torch.TorchSession()
    eager.shape, eager.model = shape, _torch.with_outputs(_torch.load_model(checkpoint, torch.float32), shape.inputs)
    made: dict[str, Any] = {"inputs": inputs, "eager": eager.layers(inputs), "forms": {}, "outputs": {}}
    for form, folder in _exported(Path(out), checkpoint, shape, family):
        session = torchscript.TorchScript() if form == "torchscript" else onnxruntime.OnnxRuntime()
        session.load(folder, {}, shape, threads=1)
        last = session.outputs(session.invoke(session.prepare(inputs)))["last_hidden_state"]
        made["forms"][form] = {**session.layers(inputs), "last_hidden_state": last}
        if isinstance(session, onnxruntime.OnnxRuntime):
            made["outputs"][form] = [output.name for output in session.session.get_outputs()]
        else:
            graphs = (session.model.inlined_graph, session.model.layers.inlined_graph)
            made["operators"] = [[node.kind() for node in graph.nodes()] for graph in graphs]
    return made


def _seeded(family: str) -> Any:
    """A classification model whose vectors are no constants either, as in a trained model."""
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    torch.manual_seed(2021)
    model = AutoModelForSequenceClassification.from_config(AutoConfig.for_model(family, **FIELDS[family]))
    with torch.no_grad():
        for vector in (parameter for parameter in model.parameters() if parameter.dim() == 1):
            vector.add_(torch.randn_like(vector), alpha=0.1)
    return model


def _shape(family: str) -> Shape:
    fields = FIELDS[family]
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    types = fields.get("type_vocab_size", 2) > 1 and family not in ("distilbert", "mpnet", "modernbert")
    return Shape(
        layers=fields.get("num_hidden_layers", LAYERS), heads=HEADS, hidden=HIDDEN, intermediate=128, vocabulary=VOCABULARY,
        max_length=64, pad_id=fields.get("pad_token_id", 1 if family == "mpnet" else 0), inputs=inputs if types else inputs[:2],
    )  # fmt: skip


def _exported(root: Path, checkpoint: Path, shape: Shape, family: str) -> Iterator[tuple[str, Path]]:
    """Yield every form and its folder."""

    def job(form: str, source: str = "") -> Job:
        (root / form).mkdir()
        return Job(
            root / form, checkpoint, shape, "", "", saturates=False, source=root / source, calibration=root / CALIBRATION
        )

    torchscript.f32(made := job("torchscript"))
    yield "torchscript", made.out
    _onnx.export(made := job("onnx"), _onnx.newest_opset(), "eager")
    yield "onnx", made.out
    shutil.copy(made.out / _onnx.FILE, (folded := job("folded")).out / _onnx.FILE)
    _onnx.fold_constants(folded.out / _onnx.FILE)
    yield "folded", folded.out
    _onnx_fusion.optimize(made := job("fused", "onnx"), _onnx.source(made), made.out / _onnx.FILE)
    yield "fused", made.out
    for source in ("onnx", "fused"):
        _onnx_precision.to_float16(made := job(f"{source} f16", source))
        yield f"{source} f16", made.out
        _onnx_precision.quantize_dynamic(made := job(f"{source} int8_dynamic", source), {})
        yield f"{source} int8_dynamic", made.out
    each, more = MATMULS.get(family, (7, 0))
    made = job("onnx int8_static", "onnx")
    _onnx_precision.quantize_static(made, _onnx.source(made), ["MatMul", "Gather"], matmuls=each * shape.layers + more)
    yield "onnx int8_static", made.out


def shared(say: Callable[[str], None], out: str) -> dict[str, Any]:
    """Return the stages of KerasHub's ALBERT, whose layers share weights, as ``shown`` does those of transformers'."""
    import torch

    from fixtures.backends import _keras, tensorflow, tflite

    root, shape = Path(out), _shape("albert")
    _seeded("albert").save_pretrained(root / "checkpoint")
    inputs = dict(zip(shape.inputs, (tensor.numpy() for tensor in _torch.example(shape)), strict=True))
    eager = _torch.TorchSession()
    eager.shape, eager.model = shape, _torch.with_outputs(_torch.load_model(root / "checkpoint", torch.float32), shape.inputs)
    made: dict[str, Any] = {"inputs": inputs, "eager": eager.layers(inputs), "forms": {}}
    family = read_family(root / "checkpoint")
    encoder = _keras.backbone(root / "checkpoint", family, "float32")
    _keras.follow_the_checkpoint(encoder, family)

    def call(tensors: tuple[Any, ...]) -> tuple[Any, Any]:
        given = {_keras.INPUTS[name]: tensor for name, tensor in zip(shape.inputs, tensors, strict=True)}
        outputs = encoder(given, training=False)
        return outputs["pooled_output"], outputs["sequence_output"]

    job = Job(root, root / "checkpoint", shape, "f32", "", saturates=False, source=root)
    _keras.export(job, call, _keras.layer_norms(encoder), [variable.value for variable in encoder.variables])
    tflite.f32(job)
    saved, converted = tensorflow.TensorFlow(), tflite.TfLite()
    saved.model, saved.shape = _keras.import_tensorflow().saved_model.load(str(root / _keras.FOLDER)), shape
    saved.serve = saved.model.signatures[_keras.SERVE]  # ``load`` sets threads, which TensorFlow allows at its start only
    converted.load(root, {}, shape, threads=1)
    for session in (saved, converted):
        last = session.outputs(session.invoke(session.prepare(inputs)))["last_hidden_state"]
        made["forms"][session.name] = {**session.layers(inputs), "last_hidden_state": last}
    return made
