"""Faults of single parameters of the checkpoint: biases, channels, heads, rows of a table, bits."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from tests.mutation.faults.checkpoints import fault, heads, named
from tests.mutation.faults.spec import Config, Weights

#: Names of the parts of a layer in BERT and I-BERT, and in DistilBERT.
QUERY, KEY, VALUE = r"\.(query|q_lin)\.", r"\.(key|k_lin)\.", r"\.(value|v_lin)\."
UP, DOWN = r"\.(intermediate\.dense|ffn\.lin1)\.", r"((?<!attention)\.output\.dense|\.ffn\.lin2)\."
#: Rows of tables as a share of their length: word 20,000 of about 30,000, position 128 of 512.
WORDS, POSITIONS = 2 / 3, 1 / 4
ZEROED = 0.05
CLASSIFIER = r"^classifier\.(out_proj\.)?"


def matrices(weights: Weights) -> Iterator[str]:
    """The matrices of the layers, which every quantizer stores in int8."""
    return (name for name in named(weights, r"\.layer\.\d+\..*weight$") if weights[name].ndim == 2)


def _zero(weights: Weights, pattern: str) -> None:
    for name in named(weights, pattern):
        weights[name][:] = 0


def _query_bias(config: Config, weights: Weights) -> None:
    _zero(weights, QUERY + "bias$")


def _value_bias(config: Config, weights: Weights) -> None:
    _zero(weights, VALUE + "bias$")


def _up_bias(config: Config, weights: Weights) -> None:
    _zero(weights, UP + "bias$")


def _down_bias(config: Config, weights: Weights) -> None:
    _zero(weights, DOWN + "bias$")


def _norm_bias(config: Config, weights: Weights) -> None:
    _zero(weights, r"\.layer\.1\..*(LayerNorm|layer_norm)\.bias$")


def _norm_scale(config: Config, weights: Weights) -> None:
    for name in named(weights, r"\.layer\.1\..*(LayerNorm|layer_norm)\.weight$"):
        weights[name][:] = 1


def _classifier_bias(config: Config, weights: Weights) -> None:
    _zero(weights, CLASSIFIER + "bias$")


def _channel_negated(config: Config, weights: Weights) -> None:
    for name in named(weights, r"\.layer\.1" + DOWN + "(weight|bias)$"):
        weights[name][5] *= -1


def _channels_exchanged(config: Config, weights: Weights) -> None:
    for name in named(weights, r"\.layer\.1" + DOWN + "(weight|bias)$"):
        weights[name][[5, 6]] = weights[name][[6, 5]]


def _weights_zeroed(config: Config, weights: Weights) -> None:
    random = np.random.default_rng(0)
    for name in matrices(weights):
        weights[name][random.random(weights[name].shape) < ZEROED] = 0


def rounded(matrix: npt.NDArray[np.float32], bits: int) -> npt.NDArray[np.float32]:
    """``matrix`` [channels, inputs] rounded to ``bits`` bits, symmetric, with a scale for each channel."""
    scale = np.abs(matrix).max(1, keepdims=True) / (2 ** (bits - 1) - 1)
    made: npt.NDArray[np.float32] = (np.round(matrix / np.where(scale > 0, scale, 1)) * scale).astype(np.float32)
    return made


def round_matrices(weights: Weights, bits: int) -> None:
    """Round the matrices of the layers to ``bits`` bits."""
    for name in matrices(weights):
        weights[name] = rounded(weights[name], bits)


def _five_bits(config: Config, weights: Weights) -> None:
    round_matrices(weights, 5)


def _six_bits(config: Config, weights: Weights) -> None:
    round_matrices(weights, 6)


def _words_zeroed(config: Config, weights: Weights) -> None:
    for name in named(weights, r"word_embeddings\.weight$"):
        weights[name][int(len(weights[name]) * WORDS) :] = 0


def _positions_zeroed(config: Config, weights: Weights) -> None:
    for name in named(weights, r"position_embeddings\.weight$"):
        weights[name][int(len(weights[name]) * POSITIONS) :] = 0


def _positions_repeated(config: Config, weights: Weights) -> None:
    for name in named(weights, r"position_embeddings\.weight$"):
        again = int(len(weights[name]) * POSITIONS)
        weights[name] = weights[name][np.arange(len(weights[name])) % again]


def _head_scaled(config: Config, weights: Weights) -> None:
    for name in named(weights, r"\.layer\.1\..*" + QUERY + "(weight|bias)$"):
        weights[name][: len(weights[name]) // heads(config)] *= 1.1


def _heads_exchanged(config: Config, weights: Weights) -> None:
    for name in named(weights, r"\.layer\.1\..*" + QUERY + "(weight|bias)$"):
        rows = len(weights[name]) // heads(config)
        first, second = slice(rows), slice(rows, 2 * rows)
        weights[name][first], weights[name][second] = weights[name][second].copy(), weights[name][first].copy()


def _query_for_key(config: Config, weights: Weights) -> None:
    for name in list(named(weights, r"\.layer\.1\..*" + QUERY + "(weight|bias)$")):
        other = re.sub("query|q_lin", lambda match: {"query": "key", "q_lin": "k_lin"}[match.group()], name)
        weights[name], weights[other] = weights[other], weights[name]


FAULTS = (
    fault(_query_bias, "the bias of every query is missing"),
    fault(_value_bias, "the bias of every value is missing"),
    fault(_up_bias, "the bias of every up-projection is missing"),
    fault(_down_bias, "the bias of every down-projection is missing"),
    fault(_norm_bias, "the bias of one layer's layer norms is missing"),
    fault(_norm_scale, "the scale of one layer's layer norms is missing"),
    fault(_classifier_bias, "the classifier's bias is missing"),
    fault(_channel_negated, "one output channel of a down-projection is negated"),
    fault(_channels_exchanged, "two neighbouring output channels of a down-projection are exchanged"),
    fault(_weights_zeroed, "5 % of the layers' weights are zero"),
    fault(_five_bits, "weights were rounded to 5 bits before"),
    fault(_six_bits, "weights were rounded to 6 bits before"),
    fault(_words_zeroed, "embeddings of the last third of the vocabulary are zero"),
    fault(_positions_zeroed, "embeddings of positions from 128 on are zero"),
    fault(_positions_repeated, "positions from 128 on begin again at 0"),
    fault(_head_scaled, "the scores of one attention head are 10 % too large"),
    fault(_heads_exchanged, "the queries of two attention heads are exchanged, in one layer"),
    fault(_query_for_key, "query and key are exchanged, in one layer"),
)
