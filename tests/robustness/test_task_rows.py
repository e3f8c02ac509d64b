"""Tests the forms that people have labelled data in: files, columns, splits and labels are read as the same rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fixtures.harness.worker_process import WorkerProcess
from fixtures.worker.jobs.task_rows import Malformed, match_labels, read

MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
ROWS = [("It is good .", "1"), ('He said : "no" , twice .', "0"), ("Café", "1")]
READ = [{"text": text, "label": int(label)} for text, label in ROWS]
CONTEXT = "Anna lives in Bonn ."
QUESTION = {"id": "7", "question": "Where ?", "context": CONTEXT}


def dev(path: Path, form: str = "classification", **columns: str) -> Any:
    return read(path, form, columns)["splits"]["dev"]


def write(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def parquet(path: Path, columns: dict[str, Any]) -> Path:
    import pyarrow
    import pyarrow.parquet

    path.parent.mkdir(exist_ok=True, parents=True)
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path


TSV = "sentence\tlabel\n" + "".join(f"{text}\t{label}\n" for text, label in ROWS)
CSV = "text,label\n" + "".join('"{}",{}\n'.format(text.replace('"', '""'), label) for text, label in ROWS)
OBJECTS = [{"text": text, "label": int(label)} for text, label in ROWS]
#: Files that people have, each with ROWS.
FILES: dict[str, tuple[str, str]] = {
    "as GLUE has it": ("rows.tsv", TSV),
    "a mark and Windows' line ends": ("rows.tsv", MARK + TSV.replace("\n", "\r\n")),
    "commas": ("rows.csv", CSV),
    "semicolons": ("rows.csv", CSV.replace('",', '";').replace("text,", "text;")),
    "names in capitals": ("rows.csv", CSV.replace("text,label", " Text , LABEL ")),
    "an index of pandas": ("rows.csv", "\n".join(f"{i or ''},{line}" for i, line in enumerate(CSV.splitlines()))),
    "other columns": ("rows.tsv", "\n".join(f"{i - 1 if i else 'idx'}\t{line}" for i, line in enumerate(TSV.splitlines()))),
    "floats": ("rows.csv", CSV.replace(",1\n", ",1.0\n").replace(",0\n", ",0.0\n")),
    "CoLA without header": ("dev.tsv", "".join(f"gj04\t{label}\t{'*' * (label == '0')}\t{text}\n" for text, label in ROWS)),
    "JSON lines": ("rows.jsonl", lines(OBJECTS)),
    "JSON lines with a blank one": ("rows.ndjson", lines(OBJECTS).replace("\n", "\n\n")),
    "JSON lines named JSON": ("rows.json", lines(OBJECTS)),
    "a JSON list": ("rows.json", json.dumps(OBJECTS, indent=1)),
    "a JSON list in data": ("rows.json", json.dumps({"data": OBJECTS})),
    "labels as text": ("rows.jsonl", lines([{**row, "label": str(row["label"])} for row in OBJECTS])),
}  # fmt: skip


@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_people_have_is_read_as_the_same_rows(tmp_path: Path, kind: str) -> None:
    name, content = FILES[kind]
    assert read(write(tmp_path / name, content), "classification", {}) == {"splits": {"dev": READ}, "labels": ["0", "1"]}


def test_parquet_is_read_as_the_same_rows(tmp_path: Path) -> None:
    path = parquet(tmp_path / "rows.parquet", {"text": [text for text, _ in ROWS], "label": [int(label) for _, label in ROWS]})
    assert read(path, "classification", {}) == {"splits": {"dev": READ}, "labels": ["0", "1"]}


@pytest.mark.parametrize(
    "header",
    [
        "sentence1\tsentence2\tlabel", "Question1\tQuestion2\tis_duplicate", "premise\thypothesis\tgold_label",
        "question\tsentence\tlabel", "#1 String\t#2 String\tQuality", "query\tpassage\tscore", "text_a\ttext_b\tclass",
        "sentence_A\tsentence_B\tCategory",
    ],
)  # fmt: skip
def test_pairs_are_recognised_by_the_names_of_their_columns(tmp_path: Path, header: str) -> None:
    found = dev(write(tmp_path / "rows.tsv", f"idx\t{header}\n0\tone\ttwo\t2\n1\tthree\tfour\t0\n"))
    assert found == [{"text": "one", "pair": "two", "label": 2}, {"text": "three", "pair": "four", "label": 0}]


def test_columns_that_the_user_names_go_before_all_others(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", "title,Review,text,stars,label\nno,good,a,5,x\nno,bad,b,1,y\n")
    found = read(path, "classification", {"text": "review", "label": "stars"})
    assert found["splits"]["dev"] == [{"text": "good", "label": 5}, {"text": "bad", "label": 1}]
    assert found["labels"] == ["0", "1", "2", "3", "4", "5"]
    assert dev(path, text="text", pair="title", label="label")[0] == {"text": "a", "pair": "no", "label": 0}
    assert dev(path, "text", text="title") == [{"text": "no"}] * 2


def test_words_are_sorted_and_the_same_in_all_splits(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "text,label\na,neutral\nb,bad\n")
    write(tmp_path / "validation.jsonl", lines([{"text": "c", "label": " good "}, {"text": "d", "label": "bad"}]))
    found = read(tmp_path, "classification", {})
    assert found["labels"] == ["bad", "good", "neutral"]
    assert [[row["label"] for row in found["splits"][split]] for split in ("train", "dev")] == [[2, 0], [1, 0]]


def test_the_test_split_is_evaluated_if_it_alone_has_labels(tmp_path: Path) -> None:
    write(tmp_path / "train.tsv", TSV)
    write(tmp_path / "test.tsv", TSV)
    assert set(read(tmp_path, "classification", {})["splits"]) == {"train", "dev"}
    write(tmp_path / "dev_mismatched.tsv", TSV)
    write(tmp_path / "dev_matched.tsv", TSV + "d\t1\n")
    found = read(tmp_path, "classification", {})["splits"]
    assert (len(found["dev"]), len(found["test"])) == (4, 3)
    for unlabelled in ("index\tsentence\n0\tone\n", "sentence\tlabel\none\t-1\ntwo\t-1\n"):
        write(tmp_path / "test.tsv", unlabelled)
        assert set(read(tmp_path, "classification", {})["splits"]) == {"train", "dev"}
    (tmp_path / "dev_matched.tsv").unlink()
    with pytest.raises(Malformed, match=r"^/test\.tsv has only -1 as 'label', as test sets without labels have"):
        read(tmp_path, "classification", {})


def test_parts_of_the_hub_follow_each_other(tmp_path: Path) -> None:
    for i in range(2):
        parquet(tmp_path / "data" / f"validation-0000{i}-of-00002.parquet", {"text": [f"part {i}"], "label": [i]})
    assert dev(tmp_path) == [{"text": "part 0", "label": 0}, {"text": "part 1", "label": 1}]


def test_saved_datasets_have_the_names_of_their_classes(tmp_path: Path) -> None:
    worker = WorkerProcess("saved", tmp_path / "log", threads=1)
    try:
        worker.ask("call", timeout=120, target="tests.support.task_files:saved", arguments={"folder": str(tmp_path)})
    finally:
        worker.close()
    for path in (tmp_path / "one", tmp_path / "splits", tmp_path / "rows.parquet", *(tmp_path / "one").glob("*.arrow")):
        found = read(path, "classification", {})
        assert found["labels"] == ["B-X", "O", "5"]
        assert found["splits"]["dev"] == [{"text": "a", "label": 2}, {"text": "b", "label": 0}]
        assert set(found["splits"]) == ({"train", "dev"} if path.name == "splits" else {"dev"})
        assert dev(path, "token-classification") == [
            {"words": ["a"], "tags": ["O"]},
            {"words": ["b", "c"], "tags": ["B-X", "5"]},
        ]
        answered = dev(path, "question-answering", question="text", context="text")
        assert [row["answers"] for row in answered] == [["a"], []]


def test_a_regression_has_numbers(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.csv", "sentence1,sentence2,score\na,b,3.8\nc,d,-1\ne,f,2e-1\n")
    assert read(path, "regression", {})["labels"] == []
    assert [row["label"] for row in dev(path, "regression")] == [3.8, -1.0, 0.2]


CONLL = "-DOCSTART- -X- -X- O\n\nEU NNP I-NP S-ORG\n. . O O\n\n\nBonn NNP I-NP I-LOC\n"
WORDS = [{"words": ["EU", "."], "tags": ["S-ORG", "O"]}, {"words": ["Bonn"], "tags": ["I-LOC"]}]
TOKENS = {
    "dev.txt": CONLL,
    "dev.conll": CONLL.replace(" ", "\t"),
    "dev.tsv": "token\ttag\nEU\tS-ORG\r\n.\tO\r\n \r\nBonn\tI-LOC",
    "eng.testa": "# sent_id = 1\n" + CONLL,
    "dev.jsonl": lines([{"tokens": row["words"], "ner_tags": row["tags"]} for row in WORDS]),
    "dev.json": json.dumps([{"words": row["words"], "labels": row["tags"]} for row in WORDS]),
}


@pytest.mark.parametrize("name", TOKENS)
def test_tagged_words_are_read_from_columns_and_lists(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, TOKENS[name])
    for given in (path, tmp_path):
        found = read(given, "token-classification", {})
        assert found == {"splits": {"dev": WORDS}, "labels": ["I-LOC", "O", "S-ORG"]}


def test_integers_without_names_are_tags_too(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", lines([{"tokens": ["a", "b"], "tags": [0, 2]}]))
    assert read(path, "token-classification", {})["labels"] == ["0", "1", "2"]
    assert dev(path, "token-classification") == [{"words": ["a", "b"], "tags": ["0", "2"]}]


def test_questions_are_read_as_squad_and_the_hub_have_them(tmp_path: Path) -> None:
    answer = {"text": "Bonn", "answer_start": 14}
    asked = [
        {"id": "7", "question": "Where ?", "answers": [answer], "is_impossible": False},
        {"id": "8", "question": "When ?", "answers": [], "plausible_answers": [answer], "is_impossible": True},
    ]
    for name, some in (
        ("dev-v1.1.json", [{k: v for k, v in asked[0].items() if k != "is_impossible"}]),
        ("dev-v2.0.json", asked),
    ):
        squad = {"version": "v", "data": [{"title": "T", "paragraphs": [{"context": CONTEXT, "qas": some}]}]}
        path = write(tmp_path / name, json.dumps(squad))
        first, *others = dev(path, "question-answering")
        assert first == {**QUESTION, "answers": ["Bonn"], "starts": [14]}
        assert others == [{"id": "8", "question": "When ?", "context": CONTEXT, "answers": [], "starts": []}][: len(some) - 1]
    lists = {"text": ["Bonn"], "answer_start": [14]}
    path = write(tmp_path / "rows.jsonl", lines([{**QUESTION, "answers": lists}, {**QUESTION, "id": 8, "answers": [answer]}]))
    assert [row["starts"] for row in dev(path, "question-answering")] == [[14], [14]]
    with pytest.raises(Malformed, match=r"^ has dev-v1\.1\.json and dev-v2\.0\.json: keep one of them, or give a file"):
        dev(tmp_path, "question-answering")


def test_a_folder_of_beir_is_read(tmp_path: Path) -> None:
    write(
        tmp_path / "corpus.jsonl", lines([{"_id": "d1", "title": "T", "text": "one"}, {"_id": "d2", "title": "", "text": ""}])
    )
    write(tmp_path / "queries.jsonl", lines([{"_id": "q1", "text": "which"}, {"_id": "q2", "text": "of train"}]))
    write(tmp_path / "qrels" / "dev.tsv", "query-id\tcorpus-id\tscore\nq1\td1\t2\nq1\td2\t0\nq1\td1\t2\n")
    found = dev(tmp_path, "retrieval")
    assert found == {"corpus": {"d1": "T one", "d2": ""}, "queries": {"q1": "which"}, "qrels": {"q1": {"d1": 2, "d2": 0}}}


@pytest.mark.parametrize(
    ("yes", "no"), [("1", "0"), ("equivalent", "not_equivalent"), ("True", "False"), ("entailment", "neutral")]
)
def test_positive_pairs_are_queries_and_their_documents(tmp_path: Path, yes: str, no: str) -> None:
    rows = [("q", "a", yes), ("r", "a", no), ("q", "b", yes), ("s", "c", no), ("t", "a", yes)]
    write(tmp_path / "dev.tsv", "question1\tquestion2\tlabel\n" + "".join("\t".join(row) + "\n" for row in rows))
    found = dev(tmp_path, "retrieval")
    assert found["corpus"] == {"d0": "a", "d1": "b", "d2": "c"}
    assert found["queries"] == {"q0": "q", "q1": "t"}
    assert found["qrels"] == {"q0": {"d0": 1, "d1": 1}, "q1": {"d0": 1}}


def test_all_pairs_without_labels_are_positive(tmp_path: Path) -> None:
    found = dev(write(tmp_path / "rows.csv", "query,passage\nq,a\nr,b\n"), "retrieval")
    assert found["qrels"] == {"q0": {"d0": 1}, "q1": {"d1": 1}}


def test_passages_are_lines_or_a_column(tmp_path: Path) -> None:
    passages = [{"text": "one"}, {"text": 'two , "three"'}]
    assert dev(write(tmp_path / "any.txt", MARK + 'one\r\n\r\n two , "three" '), "text") == passages
    assert dev(write(tmp_path / "rows.csv", 'text\none\n"two , ""three"""\n'), "text") == passages
    assert dev(write(tmp_path / "rows.jsonl", lines([*passages, {"text": ""}])), "text") == passages


@pytest.mark.parametrize(
    ("found", "model", "ids"),
    [
        (["contradiction", "entailment"], {0: "ENTAILMENT", 1: "Neutral", 2: "CONTRADICTION"}, [2, 0]),
        (["not equivalent", "equivalent"], {0: "equivalent", 1: "not_equivalent"}, [1, 0]),
        (["0", "1"], {0: "LABEL_0", 1: "LABEL_1"}, [0, 1]),
        (["0", "1"], {0: "LABEL_1", 1: "LABEL_0"}, [1, 0]),
        (["0", "1"], {0: "negative", 1: "positive"}, [0, 1]),
        (["1", "2"], {0: "1", 1: "2"}, [0, 1]),
        (["label 1", "LABEL-0"], {0: "LABEL_0", 1: "LABEL_1"}, [1, 0]),
        (["-1", "1"], {0: "1", 1: "-1"}, [1, 0]),
    ],
)
def test_labels_are_matched_by_name_or_as_integers(found: list[str], model: dict[int, str], ids: list[int]) -> None:
    assert match_labels(found, model) == ids


@pytest.mark.parametrize(
    ("found", "model", "said"),
    [
        (["bad", "good"], {0: "LABEL_0", 1: "LABEL_1"}, "whose order is unknown: name them in id2label"),
        (["bad", "good"], {0: "negative", 1: "positive"}, "or correct id2label in the model's config.json"),
        (
            ["0", "1", "2"],
            {0: "LABEL_0", 1: "LABEL_1"},
            "has the labels ['0', '1', '2'], and the model has ['LABEL_0', 'LABEL_1']",
        ),
        (["0", "1"], {0: "1", 1: "2"}, "has the labels ['0', '1'], and the model has ['1', '2']"),
        ([str(i) for i in range(12)], {0: "a"}, "'8', '9', ... 12 in all], and the model has ['a']"),
        (["a b"], {0: "a_b", 1: "a-b"}, "has the labels ['a b']"),
    ],
)
def test_labels_that_do_not_match_are_refused_with_both_lists(found: list[str], model: dict[int, str], said: str) -> None:
    with pytest.raises(Malformed) as refused:
        match_labels(found, model)
    assert said in str(refused.value)
