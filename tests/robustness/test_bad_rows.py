"""Tests errors in a user's labelled data: each gives one sentence that continues the given name, with file and row."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from fixtures.worker.jobs.task_rows import FORMS, Malformed, read
from tests.robustness.test_task_rows import CONTEXT, OBJECTS, QUESTION, TSV, lines, parquet, write


def refusal(path: Path, form: str = "classification", **columns: str) -> str:
    """The sentence with which ``path`` is refused."""
    with pytest.raises(Malformed) as refused:
        read(path, form, columns)
    assert str(refused.value).isprintable()
    return str(refused.value)


def row_5(row: str) -> str:
    """The text of a file whose fifth line is ``row``."""
    return f"{TSV}{row}\n{TSV.partition(chr(10))[2]}"


WORDS = row_5("D\tno").replace("\t1\n", "\tyes\n").replace("\t0\n", "\tno\n")
BAD: dict[str, tuple[str, str | bytes, str]] = {
    "no label": ("a.tsv", row_5("D\t"), ", line 5: 'label' is empty"),
    "a blank label": ("a.tsv", row_5("D\t "), ", line 5: 'label' is empty"),
    "a word among integers": ("a.tsv", row_5("D\tyes"), ", line 5: 'label' is 'yes', no integer, and most labels are integers"),
    "an integer among words": ("a.tsv", WORDS.replace("D\tno", "D\t3"),
                               ", line 5: 'label' is '3', an integer, and most labels are words"),
    "a number among integers": ("a.tsv", row_5("D\t1.5"), ", line 5: 'label' is '1.5', no integer, and most labels are int"),
    "numbers": ("a.csv", "text,score\nD,1.5\n", ", line 2: 'score' is '1.5': numbers that are not integers are labels of"),
    "no gold label": ("a.tsv", "premise\thypothesis\tgold_label\na\tb\tneutral\nc\td\t-\n",
                      ", line 3: 'gold_label' is '-', on which the annotators did not agree: leave the row out"),
    "several labels": ("a.jsonl", '{"text": "a", "labels": [1, 2]}', ", line 1: 'labels' is a list, not one text or number"),
    "-1": ("a.tsv", row_5("D\t-1"), ", line 5: 'label' is -1, which is no label: leave the row out, or number the"),
    "only -1": ("a.tsv", "text\tlabel\nD\t-1\n", " has only -1 as 'label', as test sets without labels have"),
    "no label at all": ("a.tsv", "text\tlabel\nD\t\n", " has no row with 'label': give a labelled file"),
    "an identifier": ("a.tsv", row_5("D\t123456"), ", line 5: 'label' is 123456: labels are words, or integers from 0 to 9999"),
    "no text": ("a.tsv", row_5("\t1"), ", line 5: 'sentence' is empty"),
    "a blank text": ("a.tsv", row_5(" \t1"), ", line 5: 'sentence' is empty"),
    "no second text": ("a.csv", "sentence1,sentence2,label\na,b,1\nc,,0\n", ", line 3: 'sentence2' is empty"),
    "a field more": ("a.tsv", row_5("D\t1\t1"), ", line 5: it has 3 columns separated by tabs, the header has 2"),
    "a field less": ("a.csv", "text,label\na,1\nb\n", ", line 3: it has 1 columns separated by commas, the header has 2"),
    "an open quote": ("a.csv", 'text,label\na,1\n"b,0\nc,1\n', ", line 3: its quotes are not those of CSV: double those"),
    "a quote that is not doubled": ("a.csv", 'text,label\na,1\n"b "c" d",0\n', ", line 3: its quotes are not those of CSV"),
    "cp1252": ("a.tsv", row_5("Café\t1").encode("cp1252"), ", line 4: byte 60 is not UTF-8; save it as UTF-8"),
    "UTF-16": ("a.csv", TSV.encode("utf-16"), ", line 1: byte 0 is not UTF-8; save it as UTF-8"),
    "empty": ("a.csv", "", " is empty"),
    "empty JSON": ("a.jsonl", "\n\n", " is empty"),
    "an empty list": ("a.json", "[]", " has no row"),
    "a header alone": ("a.csv", "text,label\n", " has a header and no row"),
    "a broken line": ("a.jsonl", f'{lines(OBJECTS)}{{"text": "D"\n', ", line 4: it is no JSON object"),
    "a line that is a number": ("a.jsonl", f"{lines(OBJECTS)}7\n", ", line 4: it is no JSON object"),
    "a list cut short": ("a.json", json.dumps(OBJECTS, indent=0)[:-3], ", line 13: it is no JSON (Expecting ',' delimiter)"),
    "a key less": ("a.jsonl", f'{lines(OBJECTS)}{{"text": "D"}}\n', ", line 4: 'label' is empty"),
    "null": ("a.jsonl", '{"text": null, "label": 1}\n', ", line 1: 'text' is empty"),
    "a list as text": ("a.jsonl", '{"text": ["D"], "label": 1}\n', ", line 1: 'text' is a list, not one text or number"),
    "half a pair": ("a.jsonl", '{"text": "\\ud800", "label": 1}', ", line 1: 'text' is no text that UTF-8 has"),
    "Parquet that is none": ("a.parquet", "PAR1", " is no Parquet file or was cut short: copy it again"),
    "Arrow that is none": ("a.arrow", "text", " is no Arrow file or was cut short: copy it again"),
    "a type": ("a.csv.gz", "", " has the type '.gz': give one of .csv, .tsv, .json, .jsonl, .ndjson, .parquet, .arrow, .txt"),
    "no known text": ("a.csv", "title,label\na,1\n", " has the columns 'title', 'label', named by its first line, and no "
                      "column is known to be the text: name it with --columns text=NAME,label=NAME"),
    "no known label": ("a.csv", "text,rank\na,1\n", " has the columns 'text', 'rank', named by its first line, and no column "
                       "is known to be the label: name it with --columns text=NAME,label=NAME"),
    "two texts": ("a.jsonl", '{"review": "a", "text": "b", "label": 1}', " has the columns 'review', 'text', 'label' and the "
                  "columns 'review', 'text' may all be the text: name it with --columns text=NAME,label=NAME"),
    "a text beside a pair": ("a.csv", "text,premise,hypothesis,label\na,b,c,1\n", " has the columns 'text', 'premise', "),
    "two labels": ("a.csv", "text,stars,score\na,1,2\n", " has the columns 'text', 'stars', 'score', named by its first line, "
                   "and the columns 'stars', 'score' may all be the label: name it with --columns text=NAME,label=NAME"),
    "a name twice": ("a.csv", "text,text,label\na,b,1\n", " has the columns 'text', 'text', 'label', named by"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_row_is_named_by_its_place(tmp_path: Path, kind: str) -> None:
    name, content, said = BAD[kind]
    assert refusal(write(tmp_path / name, content)).startswith(said)


def test_the_file_of_a_folder_is_named(tmp_path: Path) -> None:
    write(tmp_path / "dev.tsv", row_5("D\tyes"))
    assert refusal(tmp_path).startswith("/dev.tsv, line 5: 'label' is 'yes', no integer")
    write(tmp_path / "dev.tsv", row_5("D"))
    assert refusal(tmp_path) == "/dev.tsv, line 5: it has 1 columns separated by tabs, the header has 2"
    write(tmp_path / "validation.jsonl", "")
    assert refusal(tmp_path) == " has dev.tsv and validation.jsonl: keep one of them, or give a file"


def test_a_folder_without_rows_to_evaluate_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none") == " does not exist"
    write(tmp_path / "train.tsv", TSV)
    assert refusal(tmp_path).startswith(" has no dev, validation or test split in files of the types .csv, .tsv, ")
    write(tmp_path / "test.tsv", "index\tsentence\n0\tone\n")
    assert refusal(tmp_path).startswith(
        "/test.tsv has the columns 'index', 'sentence', named by its first line, and no column is"
    )
    parquet(tmp_path / "dev-00000-of-00002.parquet", {"text": ["a"], "label": [1]})
    assert refusal(tmp_path).startswith(" has 1 of the 2 parts that dev-00000-of-00002.parquet belongs to: copy all of them")


def test_a_parquet_file_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = parquet(tmp_path / "a.parquet", {"text": ["a"], "label": [1]})
    path.write_bytes(path.read_bytes()[:-1])
    assert refusal(path).startswith(" is no Parquet file or was cut short: copy it again")


def test_text_in_an_arrow_file_must_be_utf_8(tmp_path: Path) -> None:
    """Arrow does not check text when it reads a file."""
    import pyarrow
    import pyarrow.ipc

    rows = pyarrow.table({"text": ["Cafe"], "label": [1]})
    with pyarrow.ipc.new_stream(str(tmp_path / "a.arrow"), rows.schema) as writer:
        writer.write_table(rows)
    content = (tmp_path / "a.arrow").read_bytes()
    assert refusal(write(tmp_path / "a.arrow", content.replace(b"Cafe", b"Caf\xe9"))).startswith(
        " is no Arrow file or was cut short"
    )


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"label": "rank"}, " has no column 'rank': its columns are 'sentence', 'label'"),
        ({"text": "a\tb"}, " has no column 'a\\tb': its columns are 'sentence', 'label'"),
        ({"tags": "label"}, " is read as classification, which has no column 'tags': --columns takes text, pair, label"),
        ({"pair": "sentence"}, " needs the column of the first text too: --columns text=NAME,pair=sentence"),
        ({"text": "label", "label": "label"}, " is to have one column in two roles"),
    ],
)
def test_columns_that_are_not_there_are_refused(tmp_path: Path, columns: dict[str, str], said: str) -> None:
    assert refusal(write(tmp_path / "a.tsv", TSV), **columns).startswith(said)


@pytest.mark.parametrize("label", ["", "nan", "inf", "1e999", "3,5", "high", "1_0"])
def test_a_label_that_is_no_number_is_refused_in_a_regression(tmp_path: Path, label: str) -> None:
    path = write(tmp_path / "a.tsv", f"sentence1\tsentence2\tscore\na\tb\t1.0\nc\td\t{label}\n")
    said = f"is {label!r}, not a number" if label else "is empty"
    assert refusal(path, "regression") == f", line 3: 'score' {said}"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", "EU B-ORG\nrejects\n", ", line 2: it has a word and no tag"),
        ("a.txt", "EU\tB-ORG\nrejects\t\n", ", line 2: the tag is empty"),
        ("a.txt", "EU NNP B-ORG\nrejects O\n", ", line 2: it has 2 columns, line 1 has 3"),
        ("a.txt", "EU\n\nrejects\n", " has words and no tags: give two or more columns separated by spaces or tabs"),
        ("a.txt", "-DOCSTART- O\n", " has no word"),
        ("a.txt", b"EU B-ORG\n\xe9t\xe9 O\n", ", line 2: byte 9 is not UTF-8; save it as UTF-8"),
        ("a.csv", "word,tag\nEU,O\n", " has the type '.csv': give one of .tsv, .json"),
        ("a.jsonl", '{"tokens": ["a", "b"], "tags": ["O"]}', ", line 1: it has 2 words and 1 tags"),
        ("a.jsonl", '{"tokens": "a b", "tags": ["O"]}', ", line 1: 'tokens' is no list"),
        ("a.jsonl", '{"tokens": [], "tags": []}', ", line 1: 'tokens' is empty"),
        ("a.jsonl", '{"tokens": ["a", null], "tags": [0, 1]}', ", line 1: number 2 in 'tokens' is empty or no text"),
        ("a.jsonl", '{"tokens": ["a", "b"], "tags": [0, -1]}', ", line 1: 'tags' is -1, which is no label"),
        (
            "a.jsonl",
            '{"tokens": ["a"]}',
            " has the columns 'tokens' and no column is known to be the tags: name it with --columns t",
        ),
    ],
)
def test_words_without_tags_are_refused(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    assert refusal(write(tmp_path / name, content), "token-classification").startswith(said)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"answers": {"text": ["Bonn"], "answer_start": [13]}}, ", line 1: the answer 'Bonn' is not at 13 in its context"),
        ({"answers": {"text": ["."], "answer_start": [-1]}}, ", line 1: the answer '.' is not at -1 in its context"),
        (
            {"answers": {"text": ["Bonn"], "answer_start": []}},
            ", line 1: 'answers' has no lists 'text' and 'answer_start' of one",
        ),
        ({"answers": {"text": ["Bonn"], "answer_start": ["14"]}}, ", line 1: an answer has no text or no integer as"),
        ({"answers": [{"text": "", "answer_start": 0}]}, ", line 1: an answer is empty"),
        ({"answers": "Bonn"}, ", line 1: 'answers' has no lists"),
        ({"answers": []}, " has no question with an answer: give a labelled file"),
        ({"question": " "}, ", line 1: 'question' is empty"),
        ({"context": ["a"]}, ", line 1: 'context' is no text"),
    ],
)
def test_answers_that_are_not_in_their_context_are_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    row = {**QUESTION, "answers": {"text": ["Bonn"], "answer_start": [14]}}
    assert refusal(write(tmp_path / "a.jsonl", lines([{**row, **change}])), "question-answering").startswith(said)
    assert refusal(write(tmp_path / "b.jsonl", lines([row, row])), "question-answering").startswith(
        ", line 2: the id '7' is that"
    )


def test_questions_of_squad_are_named_by_their_number(tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = [
        {"id": "1", "question": "Where ?", "answers": [{"text": "Bonn", "answer_start": 14}]},
        {"id": "2", "question": "Who ?"},
    ]
    asked[1] |= {"answers": [{"text": "anna", "answer_start": 0}]}
    path = write(tmp_path / "dev.json", json.dumps({"data": [{"paragraphs": [{"context": CONTEXT, "qas": asked}]}]}))
    assert refusal(path, "question-answering") == ", question 2: the answer 'anna' is not at 0 in its context"
    asked[1]["answers"] = []
    write(path, json.dumps({"data": [{"paragraphs": [{"context": CONTEXT, "qas": asked}]}]}))
    assert refusal(path, "question-answering") == ", question 2: it has no answer and is not marked as impossible"
    write(path, json.dumps({"data": [{"paragraphs": [{"context": CONTEXT}]}]}))
    assert refusal(path, "question-answering") == ", article 1, paragraph 1: it has no list 'qas' of objects"


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("qrels/test.tsv", "q1\td1\t1\nq1\td9\t1\nq1\td9\t1\n", ", line 3: the document 'd9' is not in corpus.jsonl"),
        ("qrels/test.tsv", "q7\td1\t1\n", ", line 2: the query 'q7' is not in queries.jsonl"),
        ("qrels/test.tsv", "q1\td1\t1\nq1\td1\t0\n", ", line 3: the score of this query and document is 0, and another in an"),
        ("qrels/test.tsv", "q1\td1\tyes\n", ", line 2: the score is 'yes', not an integer"),
        ("qrels/test.tsv", "q1 d1 1\n", ", line 2: it has 1 columns separated by tabs, not query-id, corpus-id and score"),
        ("qrels/test.tsv", "q1\td1\t0\n", " has no row with a score above 0"),
        (
            "corpus.jsonl",
            '{"_id": "d1", "text": "a"}\n{"_id": "d1", "text": "b"}\n',
            ", line 2: the id 'd1' is that of an earlier",
        ),
        ("corpus.jsonl", '{"_id": "d1", "text": "a"}\n{"_id": "d2",', ", line 2: it is no JSON object"),
        ("corpus.jsonl", '{"docid": "d1", "text": "a"}\n', " has no '_id' or no 'text'"),
        ("queries.jsonl", '{"_id": "q1", "text": ""}\n', ", line 1: 'text' is empty"),
        ("queries.jsonl", "", " is empty"),
    ],
)
def test_judgements_of_what_is_not_there_are_refused(tmp_path: Path, file: str, content: str, said: str) -> None:
    write(tmp_path / "corpus.jsonl", '{"_id": "d1", "title": "", "text": "one"}\n')
    write(tmp_path / "queries.jsonl", '{"_id": "q1", "text": "which"}\n')
    write(tmp_path / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    read(tmp_path, "retrieval", {})
    write(tmp_path / file, ("query-id\tcorpus-id\tscore\n" if file.endswith("tsv") else "") + content)
    assert refusal(tmp_path, "retrieval").startswith(f"/{file}{said}")


def test_a_part_of_beir_and_pairs_without_a_positive_one_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "corpus.jsonl", "{}")
    assert (
        refusal(tmp_path, "retrieval")
        == " has no queries.jsonl: give a folder with corpus.jsonl, queries.jsonl and qrels/test.tsv"
    )
    path = write(tmp_path / "a.csv", "sentence1,sentence2,label\na,b,neutral\n")
    assert refusal(path, "retrieval").startswith(
        " has no row with a label of 1, equivalent, true, duplicate, entailment; its labels"
    )
    assert refusal(write(path, "text,label\na,1\n"), "retrieval").startswith(
        " has one text in each row: name the column of the"
    )


def test_a_saved_dataset_opens_files_in_its_folder_only(tmp_path: Path) -> None:
    write(tmp_path / "dataset_info.json", "{}")
    for name in ("../a.arrow", "/etc/hostname", "gone.arrow"):
        write(tmp_path / "state.json", json.dumps({"_data_files": [{"filename": name}]}))
        assert refusal(tmp_path) == f" names {name!r}, which is not in it: copy the folder again"
    write(tmp_path / "splits" / "dataset_dict.json", '{"splits": [".."]}')
    assert refusal(tmp_path / "splits") == " names '..', which is not in it: copy the folder again"


@examples(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(st.binary(max_size=60), st.text(alphabet='01\t,;"\n\r {}[]:atexlbO-', max_size=100).map(str.encode)),
    st.sampled_from([".csv", ".tsv", ".json", ".jsonl", ".txt"]),
    st.sampled_from(sorted(FORMS)),
)
@example(b'text,label\n1,"a,b\n', ".csv", "classification")
@example(b"text\tlabel\na\x00b\t1\n", ".tsv", "classification")
@example(b"[" * 99999, ".json", "classification")
@example(b'[{"text": "a", "label": ' + b"9" * 5000 + b"}]", ".json", "regression")
@example(b'{"data": [{"paragraphs": 1}]}', ".json", "question-answering")
@example(b'[{"question": {}, "context": 1, "answers": {"text": [{}], "answer_start": [1]}}]', ".json", "question-answering")
def test_no_content_of_a_file_makes_its_reader_fail_otherwise(tmp_path: Path, content: bytes, suffix: str, form: str) -> None:
    path = write(tmp_path / f"rows{suffix}", content)
    try:
        found, said = read(path, form, {}), "fine"
    except Malformed as error:
        found, said = {"splits": {"dev": []}}, str(error)
    assert said.isprintable()
    assert (said == "fine") == bool(found["splits"]["dev"])
    assert re.match(r"fine|, (line|row|question|article) \d| ", said), said
    json.dumps(found, allow_nan=False).encode()
