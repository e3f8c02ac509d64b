"""Changes one trait of a checkpoint's folder, as people's folders differ, without a framework."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fixtures.worker.jobs.checkpoint_tokenizer import FAST, SETTINGS, VOCABULARY
from fixtures.worker.jobs.checkpoint_weights import WEIGHTS
from tests.support.folders import update

Tensors = dict[str, Any]


def weights(folder: Path, change: Callable[[Tensors], Tensors]) -> None:
    """Replace the tensors of ``folder`` by what ``change`` makes of them."""
    from safetensors.numpy import load_file, save_file

    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS, {"format": "pt"})


def renamed(rename: Callable[[str], str]) -> Callable[[Path], None]:
    """A change of the names of all tensors."""
    return lambda folder: weights(folder, lambda tensors: {rename(name): value for name, value in tensors.items()})


def added(**shapes: tuple[int, ...]) -> Callable[[Path], None]:
    """A change that adds tensors of these shapes; ``__`` in a name is a dot."""
    more = {name.replace("__", "."): np.full(shape, 0.1, np.float32) for name, shape in shapes.items()}
    return lambda folder: weights(folder, lambda tensors: {**tensors, **more})


def without(*parts: str) -> Callable[[Path], None]:
    """A change that leaves out all tensors whose names have one of ``parts``."""
    kept = lambda tensors: {k: v for k, v in tensors.items() if not any(part in k for part in parts)}  # noqa: E731
    return lambda folder: weights(folder, kept)


def configured(**fields: Any) -> Callable[[Path], None]:
    """A change of fields of config.json; None writes a null."""

    def change(folder: Path) -> None:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        (folder / "config.json").write_text(json.dumps({**found, **fields}), encoding="utf-8")

    return change


def every(*changes: Callable[[Path], Any]) -> Callable[[Path], None]:
    """Several changes, one after the other."""

    def change(folder: Path) -> None:
        for one in changes:
            one(folder)

    return change


def tokens(folder: Path) -> list[str]:
    """The tokens of tokenizer.json in the order of their ids."""
    ids: dict[str, int] = json.loads((folder / FAST).read_text(encoding="utf-8"))["model"]["vocab"]
    return sorted(ids, key=lambda token: ids[token])


def worded(
    end: str = "\n", start: str = "", edit: Callable[[list[str]], list[str]] = list, kind: str | None = None
) -> Callable[[Path], None]:
    """A change of the tokenizer to a vocab.txt with these line ends and first characters, for the class ``kind``."""

    def change(folder: Path) -> None:
        listed = edit(tokens(folder))
        (folder / FAST).unlink()
        (folder / VOCABULARY).write_bytes((start + end.join(listed) + end).encode())
        named = {} if kind is None else {"tokenizer_class": kind}
        (folder / SETTINGS).write_text(json.dumps({"do_lower_case": True, **named}), encoding="utf-8")

    return change


def shards(folder: Path, number: int = 3) -> None:
    """Split the weights into shards without an index."""
    from safetensors.numpy import load_file, save_file

    tensors = list(load_file(folder / WEIGHTS).items())
    (folder / WEIGHTS).unlink()
    for i in range(number):
        save_file(dict(tensors[i::number]), folder / f"model-{i + 1:05d}-of-{number:05d}.safetensors", {"format": "pt"})


def labels(number: int) -> Callable[[Path], None]:
    """A change to a head for ``number`` labels, which config.json does not mention, without architectures."""

    def change(folder: Path) -> None:
        def widened(found: Tensors) -> Tensors:
            return {k: np.resize(v, (number, *v.shape[1:])) if k.startswith("classifier.") else v for k, v in found.items()}

        weights(folder, widened)
        update(folder / "config.json", architectures=None)

    return change
