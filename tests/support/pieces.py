"""Trains SentencePiece models and compares tokenizers with SentencePiece itself; called in a worker process."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fixtures.worker import synthetic_mrpc
from fixtures.worker.jobs.checkpoint_tokenizer import FAST, SETTINGS

Say = Callable[[str], None]
#: For each class, the file that it reads, and the special tokens with their ids as its published models have them.
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "AlbertTokenizer": (
        "spiece.model",
        {"pad_id": 0, "unk_id": 1, "bos_id": -1, "eos_id": -1, "control_symbols": ["[CLS]", "[SEP]", "[MASK]"]},
    ),
    "XLMRobertaTokenizer": ("sentencepiece.bpe.model", {"unk_id": 0, "bos_id": 1, "eos_id": 2, "pad_id": -1}),
    "DebertaV2Tokenizer": (
        "spm.model",
        {
            "pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3,
            "pad_piece": "[PAD]", "bos_piece": "[CLS]", "eos_piece": "[SEP]", "unk_piece": "[UNK]",
        },
    ),
}  # fmt: skip


def sentences() -> list[str]:
    """Sentences of the stand-in."""
    return [text for first, second, _ in synthetic_mrpc.generate()["train"] for text in (first, second)]


def train(say: Say, folder: str, kind: str) -> None:
    """Replace the tokenizer in ``folder`` by a Unigram model in the file that the class ``kind`` reads."""
    import sentencepiece

    name, special = KINDS[kind]
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(sentences()), model_writer=made, vocab_size=300, hard_vocab_limit=False, minloglevel=2, **special
    )
    (Path(folder) / FAST).unlink()
    (Path(folder) / name).write_bytes(made.getvalue())
    (Path(folder) / SETTINGS).write_text(json.dumps({"tokenizer_class": kind}), encoding="utf-8")


def differing(say: Say, folder: str, checkpoint: str, kind: str) -> int:
    """The number of sentences in which the tokenizer in ``checkpoint`` and the SentencePiece model in ``folder`` differ."""
    import sentencepiece
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint, local_files_only=True)
    model = sentencepiece.SentencePieceProcessor(model_file=str(Path(folder) / KINDS[kind][0]))
    lower = kind == "AlbertTokenizer"
    found = 0
    for text in sentences()[:300]:
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        theirs = [model.id_to_piece(piece) for piece in model.encode(text.lower() if lower else text)]
        found += tokenizer.convert_ids_to_tokens(ids) != theirs
    return found
