"""Tests users' checkpoints in real folders: good ones work, bad ones are refused in one sentence before any code runs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from fixtures.core.errors import RemoteError, SuiteError
from fixtures.core.registry import REGISTRY
from fixtures.harness.worker_process import WorkerProcess
from fixtures.options.checkpoints import read_checkpoints
from fixtures.options.settings import Settings
from fixtures.worker.jobs.checkpoint import PICKLE
from fixtures.worker.jobs.checkpoint_files import INDEX, WEIGHTS, Unusable, check
from tests.meta.harness.test_sources import cached
from tests.support.folders import update
from tests.support.mutations import documents
from tests.support.nested import run

FAMILIES = ("bert", "distilbert", "ibert")
QUALITY = ("bench/test_quality.py", "--backends=pytorch", "--precisions=f32", "--no-fine-tune")
#: What the suite says of a folder from which everything is read as it is written.
AS_IT_IS: dict[str, Any] = {"notes": [], "exchanged": False}


def labels(number: int) -> dict[str, Any]:
    """What is said of a head with transformers' default names."""
    return {"labels": number, "label_names": [f"LABEL_{i}" for i in range(number)]}


#: Folders that the suite accepts.
STORED = {WEIGHTS, "config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json"}
GOOD = (
    "plain", "three-labels", "other-vocabulary", "few-positions", "encoder-only", "f16", "bf16", "sharded", "vocab-txt", "both",
)  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folders that tests/support/folders.py makes."""
    root = tmp_path_factory.mktemp("folders")
    worker = WorkerProcess("folders", root / "log", threads=1)
    try:
        worker.ask("call", timeout=120, target="tests.support.folders:make", arguments={"out": str(root)})
    finally:
        worker.close()
    return root


@pytest.fixture
def copied(folders: Path, tmp_path: Path) -> Callable[[str], Path]:
    """``copied(name)`` returns a copy of a folder, which the test may change."""
    return lambda name: Path(shutil.copytree(folders / name, tmp_path / name))


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes the models that a test registered."""
    monkeypatch.setattr(REGISTRY, "models", dict(REGISTRY.models))


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerProcess]:
    """One worker process for all folders that only a framework can check; its hub cache is a folder of ``home``."""
    home = tmp_path_factory.mktemp("hub")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(home))
        patch.setenv("HF_HUB_OFFLINE", "1")
        made = WorkerProcess("copy", home / "log", threads=1)
    yield made
    made.close()


def job(worker: WorkerProcess, function: str, out: Path, **arguments: Any) -> Any:
    """Runs a job of fixtures/worker/jobs/checkpoint.py on a folder or a hub id; the result is in ``out``."""
    out.mkdir()
    given_ = {"out": str(out), "family": "distilbert", "labels": 2, "seed": 1, **arguments}
    return worker.ask("call", timeout=120, target=f"fixtures.worker.jobs.checkpoint:{function}", arguments=given_)["value"]


def shard(folder: Path) -> Path:
    return sorted(folder.glob("model-*.safetensors"))[1]


def redirect(folder: Path) -> None:
    """Makes the index name an existing file outside of the folder."""
    name = shard(folder).name
    shard(folder).rename(folder.parent / "stray.safetensors")
    index = folder / INDEX
    index.write_text(index.read_text(encoding="utf-8").replace(name, "../stray.safetensors"), encoding="utf-8")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


REFUSED: tuple[tuple[str, Callable[[Path], Any], str], ...] = (
    ("pickle", lambda f: None, "has its weights in a pickle (pytorch_model.bin), which is never opened: if you trust it"),
    ("malicious", lambda f: None, "has its weights in a pickle (pytorch_model.bin), which is never opened"),
    ("plain", lambda f: update(f / "config.json", auto_map={"AutoConfig": "mine.C"}), "(config.json has auto_map), which is"),
    ("plain", lambda f: update(f / "config.json", trust_remote_code=True), "(config.json has trust_remote_code), which"),
    (
        "plain",
        lambda f: update(f / "tokenizer_config.json", auto_map={"AutoTokenizer": ["mine.T", None]}),
        "wants code of its own (tokenizer_config.json has auto_map), which is never run: save the model with the classes of",
    ),
    ("plain", lambda f: update(f / "config.json", model_type=["bert"]), "config.json without a model_type"),
    ("plain", lambda f: update(f / "config.json", vocab_size=None), "has a config.json without vocab_size"),
    ("plain", lambda f: update(f / "config.json", n_layers=0), "has a config.json with 0 as its number of layers"),
    ("plain", lambda f: update(f / "config.json", n_heads=3), "whose 3 heads do not share 128 hidden values evenly"),
    ("plain", lambda f: update(f / "config.json", dim="wide"), "has a config.json whose sizes are no numbers"),
    ("plain", lambda f: update(f / "config.json", max_position_embeddings=2), "has 2 positions (max_position_embeddings)"),
    ("plain", lambda f: update(f / "config.json", pad_token_id=5000), "pad_token_id 5000 is none of its 1200 tokens"),
    ("plain", lambda f: update(f / "config.json", quantization_config={"bits": 4}), "has quantized weights"),
    ("plain", lambda f: (f / "config.json").unlink(), "has no config.json that can be read (No such file or directory)"),
    ("plain", lambda f: (f / "config.json").write_text("{"), "has a config.json that is no JSON"),
    ("plain", lambda f: (f / "tokenizer.json").unlink(), "has no tokenizer (tokenizer.json, or vocab.txt, or vocab.json and"),
    ("plain", lambda f: (f / "tokenizer.json").write_text("{}"), "has a tokenizer.json without a model"),
    ("vocab-txt", lambda f: (f / "tokenizer_config.json").unlink(), 'a tokenizer_config.json with {"do_lower_case": false}'),
    ("plain", lambda f: (f / "adapter_config.json").write_text("{}"), "has an adapter (adapter_config.json): merge it"),
    ("plain", lambda f: (f / WEIGHTS).rename(f / "other.safetensors"), "has no model.safetensors (nor model.safetensors.index"),
    ("plain", lambda f: (f / WEIGHTS).rename(f / "tf_model.h5"), "has no model.safetensors"),
    ("plain", lambda f: loop(f / WEIGHTS), "has no model.safetensors"),
    ("plain", lambda f: cut(f / WEIGHTS), "has a model.safetensors that is no safetensors file or was cut short: copy it"),
    ("plain", lambda f: (f / WEIGHTS).write_bytes(b"PK\x03\x04" * 9), "has a model.safetensors that is no safetensors file"),
    ("sharded", lambda f: shard(f).unlink(), "names model-00002-of-00003.safetensors, which is missing: copy it there too"),
    ("sharded", lambda f: cut(shard(f)), "has a model-00002-of-00003.safetensors that is no safetensors file or was cut short"),
    ("sharded", redirect, "names '../stray.safetensors', which is no safetensors file of this folder"),
    ("sharded", lambda f: update(f / INDEX, weight_map=None), "without a weight_map of file names"),
)  # fmt: skip


@pytest.mark.usefixtures("registry")
def test_a_folder_that_will_not_do_is_refused_before_anything_opens_it(copied: Callable[[str], Path], tmp_path: Path) -> None:
    for name, change, said in REFUSED:
        folder = copied(name)
        change(folder)
        with pytest.raises(SuiteError) as refused:
            read_checkpoints([f"mine={folder}"])
        assert said in str(refused.value)
        assert str(refused.value).startswith(f"--checkpoint mine={folder}: {folder} ")
        assert "\n" not in str(refused.value)
        shutil.rmtree(folder)


@pytest.mark.usefixtures("registry")
def test_names_and_sources_that_will_not_do(folders: Path, tmp_path: Path) -> None:
    plain = folders / "plain"
    for texts, said in (
        ([f"mine={plain}", f"mine={plain}"], "mine has a checkpoint already"),
        ([f"Mine={plain}"], "use up to 64 lower-case letters, digits"),
        ([f"{'a' * 65}={plain}"], "use up to 64 lower-case letters, digits"),
        ([f"../mine={plain}"], "use up to 64 lower-case letters, digits"),
        ([f"minilm-l6-tiny={plain}"], "the suite's small models end with -tiny"),
        ([f"minilm-l6={plain}"], "model_type is 'distilbert', where 'bert' is asked for"),
        (["minilm-l6=no such/id"], "there is no such folder, and it is no id of the hub (OWNER/NAME)"),
        (["other=some/hub-id"], "no model 'other' and no folder; with a hub id use"),
        (["other=~nobody-of-this-name/x"], "it is no path that can be used here"),
        ([f"other={plain / 'config.json'}"], "has no config.json that can be read (Not a directory)"),
    ):
        with pytest.raises(SuiteError) as refused:
            pytest.fail(f"{texts} gave {read_checkpoints(texts)}")
        assert said in str(refused.value)


@pytest.mark.usefixtures("registry")
def test_links_to_a_checkpoint_are_followed(folders: Path, tmp_path: Path) -> None:
    """A folder of links works, as in the hub's cache, which consists of links."""
    (tmp_path / "link").symlink_to(folders / "plain")
    (tmp_path / "files").mkdir()
    for path in (folders / "plain").iterdir():
        (tmp_path / "files" / path.name).symlink_to(path)
    assert list(read_checkpoints([f"a={tmp_path / 'link'}", f"b={tmp_path / 'files'}"])) == ["a", "b"]


@examples(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_no_file_of_a_folder_makes_the_check_fail_otherwise(folders: Path, tmp_path: Path, data: st.DataObject) -> None:
    """After any change of a JSON file or the weights' header, the check refuses the folder in one line or accepts it."""
    folder = tmp_path / "folder"
    if not folder.exists():
        shutil.copytree(folders / "sharded", folder)
    name = data.draw(st.sampled_from(("config.json", "tokenizer_config.json", INDEX, shard(folder).name)))
    good = (folder / name).read_bytes()
    length = int.from_bytes(good[:8], "little") if name.endswith(".safetensors") else 0
    try:
        made = data.draw(documents(json.loads(good[8 : 8 + length] if length else good)))
        (folder / name).write_bytes(len(made).to_bytes(8, "little") + made + good[8 + length :] if length else made)
        check(folder)
    except Unusable as error:
        said = str(error)
    else:
        said = "fine"
    finally:
        (folder / name).write_bytes(good)
    assert said.isprintable()


def test_what_only_a_framework_sees_is_a_sentence_too(
    worker: WorkerProcess, copied: Callable[[str], Path], tmp_path: Path
) -> None:
    cases: tuple[tuple[str, Callable[[Path], Any], str], ...] = (
        ("nan", lambda f: None, "has weights that are NaN or infinite, such as distilbert.transformer.layer.0.ffn"),
        ("small-vocabulary", lambda f: None, "has a tokenizer with ids up to 1198 and a model with 500 tokens"),
        ("plain", lambda f: update(f / "config.json", dim=64), "do not fit its config.json: classifier.weight is [2, 128]"),
        ("plain", lambda f: update(f / "config.json", vocab_size=1300), "word_embeddings.weight is [1200, 128], not [1300"),
        ("plain", lambda f: update(f / "config.json", n_layers=1), "weights of a layer 1, but a config.json with 1 layers"),
        ("plain", lambda f: update(f / "config.json", activation="none"), "whose activation 'none' is none of gelu, gelu_10,"),
        ("plain", lambda f: update(f / "tokenizer_config.json", pad_token=None), "has a tokenizer without a pad_token"),
    )  # fmt: skip
    for number, (name, change, said) in enumerate(cases):
        folder = copied(name)
        change(folder)
        with pytest.raises(RemoteError) as refused:
            job(worker, "copy", tmp_path / f"out-{number}", source=str(folder))
        assert said in refused.value.sentence
        assert "Traceback" not in refused.value.sentence
        shutil.rmtree(folder)


def test_a_pickle_of_the_hub_is_read_as_weights_and_never_run(worker: WorkerProcess, folders: Path, tmp_path: Path) -> None:
    """The worker process unpickles only tensors: code that a plain ``torch.load`` would run does not run."""
    home = worker.log.parent
    for name in ("pickle", "malicious"):
        shutil.copytree(folders / name, cached(home, "model", f"someone/{name}"), dirs_exist_ok=True)
    assert job(worker, "hub", tmp_path / "good", hub_id="someone/pickle") == {**AS_IT_IS, "trained_head": True, **labels(2)}
    assert (tmp_path / "good" / WEIGHTS).exists()
    assert not (tmp_path / "good" / PICKLE).exists()
    with pytest.raises(RemoteError) as refused:
        job(worker, "hub", tmp_path / "bad", hub_id="someone/malicious")
    assert "holds more than weights, which could run code: it is not read" in refused.value.sentence
    assert not (folders / "executed").exists()


def test_folders_of_every_kind_are_brought_into_the_store(worker: WorkerProcess, folders: Path, tmp_path: Path) -> None:
    """Each folder becomes one file of safetensors in float32 and a tokenizer; no other file is copied."""
    for name in GOOD:
        made = job(worker, "copy", tmp_path / name, source=str(folders / name))
        expected = {"trained_head": name != "encoder-only", **labels(3 if name == "three-labels" else 2)}
        assert made == {**AS_IT_IS, **expected}, name
        assert {path.name for path in (tmp_path / name).iterdir()} <= STORED, name
        length = int.from_bytes((tmp_path / name / WEIGHTS).read_bytes()[:8], "little")
        header = json.loads((tmp_path / name / WEIGHTS).read_bytes()[8 : 8 + length])
        assert {entry["dtype"] for key, entry in header.items() if key != "__metadata__"} == {"F32"}, name
    assert not (folders / "executed").exists(), "neither the pickle nor the Python beside the weights was opened"


def test_a_folder_with_everything_unusual_goes_through_the_suite(folders: Path, settings: Settings, tmp_path: Path) -> None:
    """A folder with three labels, half precision, shards, a vocab.txt, few positions, a pickle and code can be used.

    It agrees with its own reference. Accuracy is skipped, because the task has two labels. Latency uses no more positions than
    the model has.
    """
    data = [f"--mrpc={settings.mrpc}"] if settings.mrpc else []
    arguments = (*QUALITY, "bench/test_latency.py", f"--checkpoint=odd={folders / 'odd'}", *data)
    found = run(*arguments, "-k", "agreement or accuracy or test_latency", f"--artifacts={tmp_path}")
    assert found.returncode == 1, found.stdout[-3000:]
    assert "1 failed, 1 passed, 4 skipped" in found.stdout, found.stdout[-3000:]
    assert "MRPC has 2 labels; this checkpoint has 3" in found.stdout
    assert "the model has 24 positions, fewer than 128: give --seq-len 24 or less" in found.stdout
    assert "Traceback" not in found.stdout
    assert not (folders / "executed").exists()
    assert {path.name for path in tmp_path.glob("odd-weights-*/*")} <= {*STORED, "artifact.json"}


def test_what_the_terminal_shows_is_a_sentence(folders: Path, settings: Settings, tmp_path: Path) -> None:
    """The terminal shows one sentence and no traceback: at the start of the run, or with -q in the test that needs weights."""
    store = f"--artifacts={tmp_path}"
    early = run(*QUALITY, f"--checkpoint=mine={folders / 'pickle'}", store)
    assert early.returncode == 4
    folder = folders / "pickle"
    assert early.stderr.startswith(f"ERROR: --checkpoint mine={folder}: {folder} has its weights in a pickle")
    assert early.stderr.strip().count("\n") == 0, early.stderr
    seen = run(*QUALITY, f"--checkpoint=mine={folders / 'nan'}", store)
    assert seen.returncode == 4
    assert re.match(r"ERROR: --checkpoint mine=\S+: no weights can be had from it \(\S+ has weights that are NaN", seen.stderr)
    late = run("-q", *QUALITY, f"--checkpoint=mine={folders / 'nan'}", store, "-k", "agreement")
    assert late.returncode == 1
    assert re.search(
        r"(?m)^E +SuiteError: --checkpoint mine=\S+: no weights can be had from it \(\S+ has weights that are NaN or inf",
        late.stdout,
    )
    assert "Traceback" not in late.stdout + late.stderr
    assert "fixtures/" not in late.stdout.partition("ERRORS")[2], late.stdout[-3000:]
