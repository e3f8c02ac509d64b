"""Traits of people's folders: those that change nothing about the model, and those that make it another one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fixtures.worker.jobs.checkpoint_config import NEW, OWN
from fixtures.worker.jobs.checkpoint_tokenizer import FAST, SETTINGS
from fixtures.worker.jobs.checkpoint_weights import INDEX, WEIGHTS
from tests.support import traits
from tests.support.folders import update
from tests.support.traits import added, configured, every, renamed, without, worded

Change = Callable[[Path], Any]
FAMILIES = ("bert", "distilbert", "ibert")
LEFT = {"strategy": "BatchLongest", "direction": "Left", "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"}
ANSWERS = {"architectures": ["BertForQuestionAnswering"]}
QUERY = "bert__encoder__layer__0__attention__self__query"
#: Heads of one layer under another name.
HEADS = {
    other: renamed(lambda name, other=other: name.replace("classifier.", f"{other}."))  # type: ignore[misc]
    for other in ("score", "classifier.0", "dropout_linear")
}
#: A two-layer head in the place of BERT's single layer.
DEEPER = every(
    without("classifier."),
    added(classifier__dense__weight=(128, 128), classifier__out_proj__weight=(2, 128), classifier__out_proj__bias=(2,)),
)


def fp16(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "model.fp16.safetensors")


def beside(folder: Path) -> None:
    for name in ("optimizer.pt", "training_args.bin", "rng_state_0.pth"):
        (folder / name).write_bytes(b"\x80\x04")


def as_roberta(folder: Path) -> None:
    """Rename I-BERT's weights as RoBERTa's, and leave out what I-BERT has besides."""
    renamed(lambda name: name.replace("ibert.", "roberta."))(folder)
    traits.weights(folder, lambda tensors: {k: v for k, v in tensors.items() if k.endswith((".weight", ".bias"))})


def fewer(folder: Path) -> None:
    """Cut the table of tokens to 900 rows, fewer than the tokenizer has."""
    name = "bert.embeddings.word_embeddings.weight"
    traits.weights(folder, lambda tensors: {**tensors, name: tensors[name][:900]})


#: Folders that hold the plain model: family, change, and what is said about it.
TAKEN: dict[str, tuple[str, Change, str]] = {
    "nothing": ("bert", lambda f: None, ""),
    "module.": ("bert", renamed("module.{}".format), "the prefix 'module.' of all names of weights is stripped"),
    "_orig_mod.": ("distilbert", renamed("_orig_mod.{}".format), "the prefix '_orig_mod.' of all names of weights is stripped"),
    "model.": ("bert", renamed("model.{}".format), "the prefix 'model.' of all names of weights is stripped"),
    "two prefixes": ("bert", renamed("module._orig_mod.{}".format), "the prefix 'module._orig_mod.' of all names"),
    "fp16 in the name": ("bert", fp16, "weights are read from model.fp16.safetensors"),
    "shards without an index": ("bert", traits.shards, "3 shards are read without their model.safetensors.index.json"),
    "optimizer beside": ("bert", beside, ""),
    "attentions asked for": ("bert", configured(output_attentions=True), "output_attentions True is ignored: it does not"),
    "tuples asked for": ("bert", configured(return_dict=False), "return_dict False is ignored"),
    "flash attention": ("bert", configured(attn_implementation="flash_attention_2"), "attn_implementation 'flash_attention_2'"),
    "chunks": ("bert", configured(chunk_size_feed_forward=3), "chunk_size_feed_forward 3 is ignored"),
    "a null dropout": ("bert", configured(hidden_dropout_prob=None), "hidden_dropout_prob: null is read as the default"),
    "absolute positions said": ("bert", configured(position_embedding_type="absolute"), ""),
    "stray fields": (
        "distilbert", configured(hidden_act="relu", num_hidden_layers=2, layer_norm_eps=1e-5),
        "fields of config.json without effect on this model_type: hidden_act, layer_norm_eps",
    ),
    "padding at the left": ("bert", lambda f: update(f / SETTINGS, padding_side="left"), "left padding_side in tokenizer"),
    "padding at the left, fast": ("bert", lambda f: update(f / FAST, padding=LEFT), "left padding in tokenizer.json is"),
    "quant_mode": ("ibert", configured(quant_mode=True), "quant_mode is ignored: these weights are run as the float model"),
    "pretraining heads": ("bert", added(cls__predictions__bias=(9,), bert__embeddings__position_ids=(1, 512)), ""),
    "RoBERTa's names": ("ibert", as_roberta, "weights named roberta.* are read as ibert.*"),
    "a loss beside": ("bert", added(loss__weight=(2,)), "weights that are not used: loss.* (1)"),
}  # fmt: skip
#: Folders that hold another model, or none: family, change, head, and the sentence. Where the head asked for is a new one,
#: another head in the file is no reason to refuse.
REFUSED: dict[str, tuple[str, Change, str, str]] = {
    "relative positions": ("bert", configured(position_embedding_type="relative_key"), OWN, "type 'relative_key', which"),
    "relative positions, new head": ("bert", configured(position_embedding_type="relative_key_query"), NEW, "another model's"),
    "their weights": (
        "bert", added(bert__encoder__layer__0__attention__self__distance_embedding__weight=(1023, 64)), NEW,
        "does not use for this model_type, such as bert.encoder.layer.0.attention.self.distance_embedding.weight",
    ),
    "LoRA": ("bert", added(**{f"{QUERY}__lora_A__weight": (8, 128)}), OWN, "query.lora_A.weight: all results would be another"),
    "LoRA on the head": ("bert", added(classifier__lora_A__weight=(8, 128)), OWN, "such as classifier.lora_A.weight"),
    "a projection": ("bert", added(bert__embeddings_project__weight=(128, 64)), OWN, "such as bert.embeddings_project.weight"),
    "pruned heads": ("bert", configured(pruned_heads={"0": [1]}), OWN, "pruned_heads {'0': [1]}, which transformers"),
    "score": ("bert", HEADS["score"], OWN, "a head under other names (score.bias) than this class"),
    "classifier.0": ("bert", HEADS["classifier.0"], OWN, "other names (classifier.0.bias)"),
    "a deeper head": ("bert", DEEPER, OWN, "other names (classifier.dense.weight) than this class has (classifier.weight)"),
    "another name": ("distilbert", HEADS["dropout_linear"], OWN, "other names (dropout_linear.bias) than this class"),
    "a part of a head": ("bert", without("pooler"), OWN, "a part of a head (classifier.bias) and lacks bert.pooler.dense.bias"),
    "no head": ("bert", without("classifier."), OWN, "says BertForSequenceClassification and no weights of its head"),
    "RoBERTa's names in BERT": ("bert", renamed(lambda n: n.replace("bert.", "roberta.")), NEW, "37 encoder weights, such as"),
    "too few weights": ("ibert", without("layer.1.output.dense.weight"), OWN, "lacks 1 encoder weights, such as ibert."),
    "RoBERTa's tokenizer": ("bert", worded(kind="RobertaTokenizer"), OWN, "(RobertaTokenizer) that makes 0 tokens of 25 words"),
    "added tokens": ("bert", every(configured(vocab_size=900), fewer), OWN, "call model.resize_token_embeddings(len("),
    "a wrong type": ("bert", configured(layer_norm_eps=[1e-12]), OWN, "transformers refuses (StrictDataclassField"),
}  # fmt: skip
#: Folders that are refused at the start of the run, before a framework opens them.
EARLY: dict[str, tuple[Change, str]] = {
    "a decoder": (configured(is_decoder=True), "is a decoder (config.json has is_decoder: true)"),
    "cross-attention": (configured(add_cross_attention=True), "is a decoder (config.json has add_cross_attention: true)"),
    "a number as text": (configured(max_position_embeddings="512"), "whose max_position_embeddings is the text '512'"),
    "tokens' labels": (configured(architectures=["BertForTokenClassification"]), "labels tokens (config.json has"),
    "questions": (configured(**ANSWERS), "answers questions (config.json has architectures BertForQuestionAnswering)"),
    "masked words": (configured(architectures=["BertForMaskedLM"]), "predicts masked words (config.json has"),
    "next sentence": (configured(architectures=["BertForNextSentencePrediction"]), "predicts whether a sentence follows"),
    "next word": (configured(architectures=["BertLMHeadModel"]), "predicts the next word"),
    "a blank line": (worded(edit=lambda t: [*t[:50], "", *t[50:]]), "a blank line in its vocab.txt, line 51, which shifts all"),
    "a token twice": (worded(edit=lambda t: [*t[:50], t[9], *t[50:]]), "twice in its vocab.txt, lines 10 and 51"),
    "two vocabularies": (
        lambda f: (f / "vocab.txt").write_text("\n".join([*traits.tokens(f)[:60], "other"])),
        "has a vocab.txt and a tokenizer.json that disagree: 'other' has the id 60 in one and none in the other",
    ),
    "two sizes of floats": (every(lambda f: shutil.copy(f / WEIGHTS, f / "model.bf16.safetensors"), fp16), "leave one of them"),
    "a shard too few": (every(traits.shards, lambda f: next(f.glob("*2-of*")).unlink()), "00002-of-00003.safetensors is"),
    "another name": (lambda f: (f / WEIGHTS).rename(f / "encoder.safetensors"), f"no {WEIGHTS} (nor {INDEX}), only encoder"),
    "only an optimizer": (every(beside, lambda f: (f / WEIGHTS).unlink()), f"has no {WEIGHTS} (nor {INDEX}): save the model"),
}  # fmt: skip
