"""Tests how names of weights are matched, and the readers of people's rows and vocabularies, without a framework."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from fixtures.worker.jobs import mrpc_files
from fixtures.worker.jobs._unusable import Unusable
from fixtures.worker.jobs.checkpoint_config import OWN
from fixtures.worker.jobs.checkpoint_names import Expected, Match, match, own_head
from fixtures.worker.jobs.checkpoint_tokenizer import FAST, check, vocabulary

PARTS = ("module", "_orig_mod", "model", "base_model", "0", "auto_model", "bert")
ENCODER = ("embeddings.word.weight", "encoder.layer.0.query.weight", "encoder.layer.0.query.bias", "encoder.norm.weight")
HEAD = ("classifier.weight", "classifier.bias")


def expected(base: str) -> Expected:
    """The names of a small model whose base model is called ``base``."""
    return Expected(frozenset([*(f"{base}.{name}" for name in ENCODER), *HEAD]), frozenset(HEAD), base)


@given(
    st.lists(st.sampled_from(PARTS), max_size=3), st.sampled_from(["bert", "model", "roberta"]), st.booleans(), st.booleans()
)
def test_whatever_is_in_front_of_all_names_the_model_has_them_all(
    wrapped: list[str], base: str, whole: bool, adapted: bool
) -> None:
    """With a head or without one, and with a weight that the model does not have."""
    wanted = expected(base)
    own = sorted(wanted.names) if whole else list(ENCODER)
    names = ["".join(f"{part}." for part in wrapped) + name for name in [*own, *(["encoder.lora.weight"] if adapted else [])]]
    found = match(names, wanted)
    assert {wanted.of(found.rename(name)) for name in names} - {None} == (wanted.names if whole else wanted.names - set(HEAD))


@pytest.mark.parametrize("base", ["bert", "model", "roberta"])
def test_names_that_the_model_has_are_left_alone(base: str) -> None:
    """The names of ModernBERT's own base model begin with ``model.``, and all names may: no prefix is stripped there."""
    for names in (expected(base).names, [f"{base}.{name}" for name in ENCODER], ENCODER):
        assert match(names, expected(base)) == Match()


def test_a_head_for_two_numbers_of_labels_is_refused() -> None:
    shapes = {
        **dict.fromkeys((f"bert.{name}" for name in ENCODER), (2, 2)),
        "classifier.weight": (2, 2),
        "classifier.bias": (3,),
    }
    with pytest.raises(Unusable, match=r"has a head whose weights and biases are for \[2, 3\] labels"):
        own_head(shapes, expected("bert"), OWN, None)


@examples(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=80), st.text(alphabet='01\t,;"\n\r aQlabelsentence12#', max_size=120).map(str.encode)))
@example(b'label,sentence1,sentence2\n1,"a,b\n')
@example(b'"label"\t"sentence1"\t"sentence2"\n"1"\t"a"b\t"c"\n')
@example(b"label\tsentence1\tsentence2\n1\ta\x00\tb\n")
def test_no_content_of_a_file_makes_its_reader_fail_otherwise(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "rows.tsv").write_bytes(content)
    try:
        pairs, said = mrpc_files.read(tmp_path / "rows.tsv"), "fine"
    except mrpc_files.Malformed as error:
        pairs, said = [], str(error)
    assert said.isprintable()
    assert (said == "fine") == bool(pairs)
    assert all(first.strip() and second.strip() and label in (0, 1) for first, second, label in pairs)


@pytest.mark.parametrize("ends", list(itertools.product(("", "\N{ZERO WIDTH NO-BREAK SPACE}"), ("\n", "\r\n"), (True, False))))
def test_a_vocabulary_has_the_same_tokens_in_any_form(tmp_path: Path, ends: tuple[str, str, bool]) -> None:
    """Other characters that Unicode calls line breaks, and spaces, are tokens."""
    tokens = ["[PAD]", "a", "##b", "\u2028", "\x85", " "]
    mark, end, last = ends
    (tmp_path / "vocab.txt").write_bytes((mark + end.join(tokens) + (end if last else "")).encode())
    found, notes = vocabulary(tmp_path / "vocab.txt")
    assert found == tokens
    assert len(notes) == bool(mark) + (end == "\r\n")


def test_a_slow_file_beside_a_fast_one_must_agree_with_it(tmp_path: Path) -> None:
    (tmp_path / FAST).write_text('{"model": {"type": "BPE", "vocab": {"a": 0, "b": 1}}}')
    for text, said in (
        ('{"a": 0}', None),
        ('{"a": 1, "b": 0}', "vocab.json and a tokenizer.json that disagree: 'a' has the id 1"),
    ):
        (tmp_path / "vocab.json").write_text(text)
        if said is None:
            check(tmp_path)
            continue
        with pytest.raises(Unusable, match=said):
            check(tmp_path)
    (tmp_path / "vocab.json").write_text("[]")
    with pytest.raises(Unusable, match=r"has a vocab\.json that is no JSON object"):
        check(tmp_path)
