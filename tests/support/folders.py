"""Makes folders of checkpoints like those of users, with transformers in a worker process that calls :func:`make`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fixtures.core.registry import load
from fixtures.store.artifact import Artifact
from fixtures.store.manifest import MANIFEST, files
from fixtures.worker.jobs.checkpoint import PICKLE, seeded
from fixtures.worker.jobs.checkpoint_files import WEIGHTS

Say = Callable[[str], None]
_LARGE = {"vocab_size": 8000, "max_position_embeddings": 512, "initializer_range": 0.1}
_BERT = {"num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 512, **_LARGE}
#: Fields of small models: two layers, and weights several times as large as usual initial ones, like trained weights.
PLAIN: dict[str, dict[str, Any]] = {
    "bert": _BERT,
    "distilbert": {"n_layers": 2, "dim": 128, "n_heads": 2, "hidden_dim": 512, **_LARGE},
    # Positions start behind the padding id.
    "ibert": {
        **_BERT, "max_position_embeddings": 514, "type_vocab_size": 1, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
    },
}  # fmt: skip


class Malicious:
    """An object whose unpickling creates a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return open, (str(self.trace), "w")


def update(path: Path, **fields: Any) -> None:
    """Change fields of a JSON file; None removes one."""
    found = {**json.loads(path.read_text(encoding="utf-8")), **fields}
    path.write_text(json.dumps({k: v for k, v in found.items() if v is not None}), encoding="utf-8")


def ordinary(
    say: Say, out: str, family: str = "bert", labels: int = 2, lowercase: bool = True, seed: int = 1, **fields: Any
) -> None:
    """Make the folder ``out`` with an ordinary checkpoint with random weights from ``seed``.

    It is a plain BERT, or has another geometry by ``fields`` of its configuration (``hidden_size=96``).
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    seeded(say, out, family, {**PLAIN[family], **fields}, lowercase, seed)
    if labels != 2:
        config = AutoConfig.from_pretrained(out, num_labels=labels)
        model = AutoModelForSequenceClassification.from_pretrained(out, config=config, ignore_mismatched_sizes=True)
        model.save_pretrained(out)


def make(say: Say, out: str) -> None:
    """Make folders under ``out``: ``plain``, a small DistilBERT, and others, named after their difference from it."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, AutoTokenizer

    root = Path(out)
    plain = root / "plain"
    tiny = load().models["distilbert-base-cased"].configuration("tiny")
    config = {**tiny, "vocab_size": 1200, "max_position_embeddings": 200}
    seeded(say, str(plain), "distilbert", config, lowercase=False, seed=1)
    model = AutoModelForSequenceClassification.from_pretrained(plain)

    def like(name: str) -> Path:
        return Path(shutil.copytree(plain, root / name))

    def other(name: str, **fields: Any) -> None:
        AutoModelForSequenceClassification.from_config(AutoConfig.from_pretrained(plain, **fields)).save_pretrained(like(name))

    other("three-labels", num_labels=3)
    other("other-vocabulary", vocab_size=1500)
    other("few-positions", max_position_embeddings=24)
    other("small-vocabulary", vocab_size=500)
    AutoModel.from_pretrained(plain).save_pretrained(like("encoder-only"))
    for name, dtype in (("f16", torch.float16), ("bf16", torch.bfloat16)):
        AutoModelForSequenceClassification.from_pretrained(plain).to(dtype).save_pretrained(like(name))
    (like("sharded") / WEIGHTS).unlink()
    model.save_pretrained(root / "sharded", max_shard_size="1MB")

    tokens = sorted(AutoTokenizer.from_pretrained(plain).get_vocab().items(), key=lambda item: item[1])
    words = like("vocab-txt")
    (words / "tokenizer.json").unlink()
    (words / "vocab.txt").write_text("\n".join(token for token, _ in tokens) + "\n", encoding="utf-8")
    (words / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}), encoding="utf-8")

    tensors = load_file(plain / WEIGHTS)
    torch.save(tensors, like("pickle") / PICKLE)
    (root / "pickle" / WEIGHTS).unlink()
    torch.save({**tensors, "x": Malicious(root / "executed")}, like("malicious") / PICKLE)
    (root / "malicious" / WEIGHTS).unlink()
    shutil.copy(root / "malicious" / PICKLE, like("both"))
    (root / "both" / "modeling_mine.py").write_text(f"open({str(root / 'executed')!r}, 'w')", encoding="utf-8")
    unusual = AutoConfig.from_pretrained(plain, num_labels=3, vocab_size=1500, max_position_embeddings=24)
    shutil.copytree(root / "both", root / "odd")
    for name in (WEIGHTS, "tokenizer.json", "tokenizer_config.json"):
        (root / "odd" / name).unlink()
    AutoModelForSequenceClassification.from_config(unusual).half().save_pretrained(root / "odd", max_shard_size="500KB")
    for name in ("vocab.txt", "tokenizer_config.json"):
        shutil.copy(words / name, root / "odd")
    name = next(name for name in tensors if "lin1.weight" in name)
    save_file({**tensors, name: tensors[name] * float("nan")}, like("nan") / WEIGHTS, {"format": "pt"})


def encoder(say: Say, out: str) -> None:
    """Make a small DistilBERT without a head in the folder ``out``."""
    from transformers import AutoModel

    tiny = load().models["distilbert-base-cased"].configuration("tiny")
    seeded(say, out, "distilbert", tiny, lowercase=False, seed=1)
    AutoModel.from_pretrained(out).save_pretrained(out)


def artifact(folder: Path, name: str) -> Artifact:
    """Make a complete artifact in ``folder``, like the store's own, with one file that no runtime could open."""
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"graph")
    manifest = {"name": name, "inputs": {}, "meta": {}, "seconds": 1.0, "peak_mib": 1.0, "files": files(folder)}
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")
    return Artifact(folder, manifest)
