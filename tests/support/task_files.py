"""Writes data as users have them, and trains small models on them, in a worker process that calls :func:`trained`."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fixtures.core.heads import VECTOR, VOCABULARY
from fixtures.core.registry import load
from fixtures.worker import standin
from fixtures.worker.jobs import checkpoint, fine_tune, task_rows

Say = Callable[[str], None]
#: Epochs and learning rate with which a small model learns a task from random weights.
EPOCHS, RATE = {"question-answering": 5}, 1e-3
OTHERS = 4
#: The steps in which a small model learns to guess words, and what is then different of it.
STEPS, PRETRAINED = 600, {"vocab_size": 1024, "initializer_range": 0.05}


def trained(say: Say, out: str, folder: str, task: str, columns: dict[str, str] | None = None) -> dict[str, Any]:
    """Write the user's data of ``task`` into ``folder`` and train a small BERT on it, which is saved in ``out``."""
    chosen = load().tasks[task]
    WRITERS[task](Path(folder))
    found = task_rows.read(Path(folder), chosen.form, columns or {})
    labels = found["labels"]
    config = {**load().models["bert-base-cased"].configuration("tiny"), "vocab_size": 8192}
    config.update(PRETRAINED if chosen.kind == VOCABULARY else {})
    base = Path(folder).parent / f"{task}-base"
    checkpoint.seeded(say, str(base), "bert", config, True, 1, chosen.number_of_outputs(labels), chosen.kind, labels)
    Path(out).mkdir(parents=True)
    if chosen.kind == VECTOR:
        _contrasted(base, Path(out))
        return {"labels": labels}
    if chosen.kind == VOCABULARY:
        _pretrained(base, Path(out), [row["text"] for row in found["splits"]["train"]])
        return {"labels": labels}
    (base / "train.json").write_text(json.dumps(found["splits"]["train"]), encoding="utf-8")
    fine_tune.run(
        say, out, str(base), str(base / "train.json"), task, task=task, labels=labels, longest=chosen.longest,
        epochs=EPOCHS.get(task, OTHERS), learning_rate=RATE, batch=32, seed=0, bfloat16=False,
    )  # fmt: skip
    return {"labels": labels}


def _pretrained(base: Path, out: Path, texts: list[str]) -> None:
    """Train the model in ``base`` to guess words of ``texts``, of which another seventh is masked each time."""
    import torch
    from transformers import AutoTokenizer, DataCollatorForLanguageModeling, get_linear_schedule_with_warmup

    from fixtures.backends import _torch_heads

    torch.manual_seed(0)
    torch.set_num_threads(1)  # products so small take longer with more
    model, tokenizer = _torch_heads.loaded(base), AutoTokenizer.from_pretrained(base, local_files_only=True)
    collate = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
    rows = [{"input_ids": ids} for ids in tokenizer(texts, truncation=True, max_length=32)["input_ids"]]
    optimizer = torch.optim.AdamW(model.parameters(), lr=2 * RATE)
    schedule = get_linear_schedule_with_warmup(optimizer, STEPS // 6, STEPS)
    model.train()
    for chosen in torch.randint(len(rows), (STEPS, 32)).tolist():
        model(**collate([rows[i] for i in chosen])).loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    model.eval().save_pretrained(out)
    tokenizer.save_pretrained(out)


def _contrasted(base: Path, out: Path) -> None:
    """Train the embedder in ``base`` on pairs of texts about the same fact, each against the others of its batch."""
    import torch
    from transformers import AutoTokenizer

    from fixtures.backends import _torch_heads

    torch.manual_seed(0)
    model, tokenizer = _torch_heads.loaded(base), AutoTokenizer.from_pretrained(base, local_files_only=True)
    pairs = standin.generate("retrieval")["splits"]["train"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    model.train()
    for start in [*range(0, len(pairs), 32)] * OTHERS:
        some = pairs[start : start + 32]
        texts = [[pair[side] for pair in some] for side in ("text", "pair")]
        one, two = (model(**tokenizer(side, padding=True, truncation=True, return_tensors="pt")).logits for side in texts)
        loss = torch.nn.functional.cross_entropy(one @ two.T / 0.05, torch.arange(len(some)))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    model.eval().save_pretrained(out)
    tokenizer.save_pretrained(out)
    kinds = ("Transformer", "Pooling", "Normalize")  # as sentence-transformers writes them
    modules = [
        {"idx": i, "name": str(i), "path": f"{i}_{kind}" if i else "", "type": f"sentence_transformers.models.{kind}"}
        for i, kind in enumerate(kinds)
    ]
    (out / "modules.json").write_text(json.dumps(modules), encoding="utf-8")
    (out / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": model.config.hidden_size, "pooling_mode_mean_tokens": True}
    (out / "1_Pooling" / "config.json").write_text(json.dumps(pooling), encoding="utf-8")


def saved(say: Say, folder: str) -> None:
    """Save rows with a ClassLabel as the ``datasets`` library does: ``one``, the splits ``splits``, and ``rows.parquet``."""
    import datasets

    classes = datasets.ClassLabel(names=["B-X", "O", "5"])
    one = {"text": ["a", "b"], "label": [2, 0], "tokens": [["a"], ["b", "c"]], "ner_tags": [[1], [0, 2]]}
    one["answers"] = [{"text": ["a"], "answer_start": [0]}, {"text": [], "answer_start": []}]
    spans = {"text": datasets.Sequence(datasets.Value("string")), "answer_start": datasets.Sequence(datasets.Value("int32"))}
    text, words = datasets.Value("string"), datasets.Sequence(datasets.Value("string"))
    features = datasets.Features(text=text, label=classes, tokens=words, ner_tags=datasets.Sequence(classes), answers=spans)
    made = datasets.Dataset.from_dict(one, features=features)
    made.save_to_disk(f"{folder}/one")
    datasets.DatasetDict(train=made, validation=made).save_to_disk(f"{folder}/splits")
    made.to_parquet(f"{folder}/rows.parquet")


def _write(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def _splits(form: str) -> Any:
    made = standin.generate(form)
    return made["splits"], made["labels"]


def classification(folder: Path) -> None:
    """A CSV of texts with labels in words."""
    splits, labels = _splits("classification")
    for split, rows in splits.items():
        _write(folder / f"{split}.csv", ["text", "label"], [[row["text"], labels[row["label"]]] for row in rows])


def regression(folder: Path) -> None:
    """A CSV with an index column, whose score is the number of the kind of event."""
    splits, _ = _splits("classification")
    for split, rows in splits.items():
        table = [[i, row["text"], 1.5 * row["label"]] for i, row in enumerate(rows)]
        _write(folder / f"{split}.csv", ["", "review", "stars"], table)


def token_classification(folder: Path) -> None:
    """CoNLL's columns: a word and a tag in a line, and an empty line behind each sentence."""
    splits, _ = _splits("token-classification")
    for split, rows in splits.items():
        sentences = ["\n".join(f"{word} {tag}" for word, tag in zip(row["words"], row["tags"], strict=True)) for row in rows]
        (folder / f"{split}.conll").write_text("\n\n".join(sentences) + "\n", encoding="utf-8")


def question_answering(folder: Path) -> None:
    """SQuAD's JSON, version 1.1."""
    splits, _ = _splits("question-answering")
    for split, rows in splits.items():
        paragraphs = [
            {
                "context": row["context"],
                "qas": [
                    {
                        "id": row["id"], "question": row["question"],
                        "answers": [
                            {"text": text, "answer_start": start}
                            for text, start in zip(row["answers"], row["starts"], strict=True)
                        ],
                    }
                ],
            }
            for row in rows
        ]  # fmt: skip
        content = {"version": "1.1", "data": [{"title": "news", "paragraphs": paragraphs}]}
        (folder / f"{split}.json").write_text(json.dumps(content), encoding="utf-8")


def retrieval(folder: Path) -> None:
    """A BEIR folder."""
    dev = _splits("retrieval")[0]["dev"]
    for name in ("corpus", "queries"):
        lines = [json.dumps({"_id": key, "title": "", "text": text}) for key, text in dev[name].items()]
        (folder / f"{name}.jsonl").write_text("\n".join(lines), encoding="utf-8")
    judged = [f"{query}\t{document}\t{gain}" for query, found in dev["qrels"].items() for document, gain in found.items()]
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]), encoding="utf-8")


def similarity(folder: Path) -> None:
    """JSON lines of two sentences and a score."""
    splits, _ = _splits("regression")
    lines = [json.dumps({"sentence1": row["text"], "sentence2": row["pair"], "score": row["label"]}) for row in splits["dev"]]
    (folder / "dev.jsonl").write_text("\n".join(lines), encoding="utf-8")


def masked_words(folder: Path) -> None:
    """Text, a sentence in a line."""
    splits, _ = _splits("text")
    for split, rows in splits.items():
        lines = [sentence for row in rows for sentence in re.split(r"(?<=[.!?]) ", row["text"])]
        (folder / f"{split}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


WRITERS: dict[str, Callable[[Path], None]] = {
    "classification": classification, "regression": regression, "token-classification": token_classification,
    "question-answering": question_answering, "retrieval": retrieval, "similarity": similarity,
    "masked-words": masked_words,
}  # fmt: skip
