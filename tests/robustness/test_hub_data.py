"""Tests ``--data`` with data sets of a hub: id, configuration and split, what there is not, and a hub that is unreachable."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from fixtures.core.errors import WorkerError
from fixtures.core.task import Hub
from fixtures.harness.harness import Harness
from fixtures.harness.worker_process import WorkerProcess
from fixtures.options.settings import Settings
from fixtures.options.task import read_data
from fixtures.store.store import Store
from fixtures.worker import standin
from tests.support import hub
from tests.support.nested import run

ID, OTHER_COMMIT = "somebody/news", "f" * 40
SPLITS, CONFIGURATIONS = {"train": "train", "validation": "dev", "held_out": "dev"}, ("topics", "more")


def publish(
    folder: Path, splits: Mapping[str, Any], labels: list[str], configurations: tuple[str, ...] = CONFIGURATIONS
) -> Path:
    """Write a repository of Parquet files whose labels are a ClassLabel; ``more`` has a row less in each split."""
    import pyarrow
    import pyarrow.parquet

    features = {"text": {"dtype": "string", "_type": "Value"}, "label": {"names": labels, "_type": "ClassLabel"}}
    described = {"huggingface": json.dumps({"info": {"features": features}})}
    card = ["---", "configs:"]
    for name in CONFIGURATIONS:
        card += [f"- config_name: {name}", "  data_files:"]
        for split, origin in SPLITS.items():
            rows = splits[origin][name == "more" :]
            made = pyarrow.table({key: [row[key] for row in rows] for key in ("text", "label")})
            (folder / name).mkdir(parents=True, exist_ok=True)
            pyarrow.parquet.write_table(
                made.replace_schema_metadata(described), folder / name / f"{split}-00000-of-00001.parquet"
            )
            card += [f"  - split: {split}", f"    path: {name}/{split}-*"]
    (folder / "README.md").write_text("\n".join([*card, "---", ""]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stand-in rows of classification as a data set of the hub with two configurations."""
    made = standin.generate("classification")
    return publish(tmp_path_factory.mktemp("hub") / "news", made["splits"], made["labels"])


def online(address: str, home: Path) -> dict[str, Any]:
    return {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_OFFLINE": "0"}


def test_one_command_judges_a_users_model_on_a_split_of_the_hub(repository: Path, harness: Harness, tmp_path: Path) -> None:
    """Evaluated is the named split, training and calibration rows are those of ``train``, and the JSON names the commit."""
    (tmp_path / "data").mkdir()
    worker = WorkerProcess("trained", tmp_path / "log", threads=harness.settings.threads)
    arguments = {"out": str(tmp_path / "model"), "folder": str(tmp_path / "data"), "task": "classification"}
    worker.ask("call", timeout=600, target="tests.support.task_files:trained", arguments=arguments)
    worker.close()
    with hub.serve(repository, known=ID) as address:
        found = run(
            "bench/test_quality.py", f"--checkpoint=small={tmp_path / 'model'}", f"--data={ID}:topics:held_out",
            "--backends=pytorch,onnxruntime", "--precisions=f32,int8_static", f"--artifacts={tmp_path / 'store'}",
            f"--benchmark-json={tmp_path / 'run.json'}", timeout=600, **online(address, tmp_path / "hf"),
        )  # fmt: skip
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-2000:]
    content = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))["encoder_parity"]
    rows, said = standin.generate("classification")["splits"], f"{ID}:topics:held_out"
    expected = {"kind": said, "revision": hub.COMMIT, "train_rows": len(rows["train"]), "dev_rows": len(rows["dev"])}
    assert {name: content["data"][name] for name in expected} == expected
    assert f"data: classification: {said} (" in found.stdout
    assert content["rows"]["small-onnxruntime-int8_static"]["score"] > 0.8
    assert content["rows"]["small-pytorch-f32"]["flips"] == 0


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("someone/else", "someone/else: there is no such file or folder, and no such data set on the hub"),
        (ID, f"{ID}: it has several configurations: give --data {ID}:CONFIGURATION with one of topics, more"),
        (f"{ID}:sports", f"{ID}: it has no configuration 'sports': give --data {ID}:CONFIGURATION with one of topics, more"),
        (f"{ID}:topics:dev", f"it has no split 'dev': give --data {ID}:topics:SPLIT with one of train, validation, held_out"),
        (f"{ID}:topics:dev:x", f"{ID}:topics:dev:x: write ID[:CONFIGURATION[:SPLIT]], such as nyu-mll/glue:sst2:validation"),
    ],
)
def test_what_the_hub_does_not_have_is_refused_in_a_sentence(repository: Path, tmp_path: Path, given: str, says: str) -> None:
    with hub.serve(repository, known=ID) as address:
        said = refused(given, tmp_path, address)
    assert said.startswith(f"ERROR: --data {ID if given == f'{ID}:sports' else given}: ")
    assert says in said


#: Hubs that do not give a data set's commit.
FAULTS: dict[str, Callable[[], AbstractContextManager[str]]] = {
    "refuses": hub.refusing, "never answers": hub.silent, "fails": lambda: hub.serve(misbehaviour="fails"),
    "HTML": lambda: hub.serve(misbehaviour="talks of something else"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_hub_that_cannot_be_reached_is_said_in_a_sentence(tmp_path: Path, fault: str) -> None:
    with FAULTS[fault]() as address:
        said = refused(f"{ID}:topics", tmp_path, address)
    assert f"--data {ID}: there is no such file or folder, and the hub at {address} cannot be reached (" in said


def test_a_download_that_breaks_off_is_said_in_a_sentence(repository: Path, tmp_path: Path) -> None:
    broken = publish(tmp_path / "broken", {"train": [], "dev": []}, [])
    for path in broken.rglob("*.parquet"):
        path.write_bytes(path.read_bytes()[:-9])
    with hub.serve(broken, known=ID) as address:
        assert f"--data {ID}:topics: it cannot be loaded (" in refused(f"{ID}:topics", tmp_path, address)


def refused(given: str, folder: Path, address: str) -> str:
    """The one sentence with which a run on ``given`` ends before anything is built."""
    found = run(
        "bench/test_quality.py", "--task=classification", f"--data={given}", f"--artifacts={folder / 'store'}",
        **online(address, folder / "hf"),
    )  # fmt: skip
    assert found.returncode == 4, found.stdout[-2000:] + found.stderr[-2000:]
    (line,) = [line for line in found.stderr.splitlines() if line.startswith("ERROR: ")]
    return line


@pytest.fixture
def make(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Harness]]:
    """``make(address, data)`` returns a harness on data of that hub; without an address, an offline one."""
    made: list[Harness] = []

    def harness(address: str, data: str) -> Harness:
        for name, value in {**online(address, tmp_path / "hf"), "HF_HUB_OFFLINE": str(int(not address))}.items():
            monkeypatch.setenv(name, value)
        asked = dataclasses.replace(
            settings, task="classification", data=read_data("classification", data, None), columns={}, interpreter=None, on=None
        )
        store = Store(tmp_path / f"store-{len(made)}", "run", lambda text: None)
        made.append(Harness(asked, store, lambda text: None))
        return made[-1]

    yield harness
    for one in made:
        one.close()


def test_a_new_commit_is_loaded_anew_and_an_old_one_is_found_offline(
    make: Callable[..., Harness], repository: Path, tmp_path: Path
) -> None:
    rows = standin.generate("classification")
    less = {split: some[:50] for split, some in rows["splits"].items()}
    with hub.serve(repository, known=ID) as address:
        first = make(address, f"{ID}:topics").data()
    offline = make("", f"{ID}:topics").data()
    assert offline.digest == first.digest
    assert offline.path.name == first.path.name
    with hub.serve(publish(tmp_path / "less", less, rows["labels"]), known=ID, commit=OTHER_COMMIT) as address:
        second = make(address, f"{ID}:topics").data()
    assert second.path.name != first.path.name
    assert (second.meta["revision"], second.meta["dev_rows"]) == (OTHER_COMMIT, 50)


def test_offline_another_commit_than_the_known_one_is_refused(make: Callable[..., Harness], repository: Path) -> None:
    """The caches of the hub's files and of the ``datasets`` library differ if a run ended between the two downloads."""
    with hub.serve(repository, known=ID) as address:
        make(address, f"{ID}:topics").data()
    with hub.serve(repository, known=ID, commit=OTHER_COMMIT) as address:
        assert make(address, f"{ID}:topics")._revisions.of(ID) == OTHER_COMMIT
    with pytest.raises(
        WorkerError, match="the cache of the datasets library has it at 0123456789ab, that of the hub's files at ff"
    ):
        make("", f"{ID}:topics").data()


def test_the_split_that_is_evaluated_is_not_trained_on(make: Callable[..., Harness], repository: Path) -> None:
    """A bad row is named with configuration and split; ``more`` has one row less than ``topics``."""
    dev = len(standin.generate("classification")["splits"]["dev"])
    with hub.serve(repository, known=ID) as address:
        usual = make(address, f"{ID}:more").data().meta
        trained_on = make(address, f"{ID}:topics:train").data().meta
    assert usual["dev_rows"] == dev - 1
    assert usual["train_rows"] > dev
    assert "train_rows" not in trained_on


def test_a_bad_row_is_named_with_its_split(make: Callable[..., Harness], tmp_path: Path) -> None:
    made = standin.generate("classification")
    splits = {
        **made["splits"],
        "dev": [{**row, "text": " " * (i == 3) or row["text"]} for i, row in enumerate(made["splits"]["dev"])],
    }
    with hub.serve(publish(tmp_path / "bad", splits, made["labels"]), known=ID) as address:
        harness = make(address, f"{ID}:topics")
        with pytest.raises(WorkerError, match=f"{ID}:topics:validation, row 4: 'text' is empty"):
            harness.data()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("squad", Hub("squad")),
        ("a/b:c", Hub("a/b", "c")),
        ("a/b:c:d", Hub("a/b", "c", dev="d")),
        ("a/b::d", Hub("a/b", dev="d")),
    ],
)
def test_what_is_no_path_is_an_id_with_configuration_and_split(text: str, expected: Hub) -> None:
    assert read_data("classification", text, None) == expected
    assert str(expected) == text
