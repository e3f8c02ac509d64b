"""Tests a remote on services: S3's protocol (moto, a server on loopback) and HTTP, which is only read."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.core.errors import SuiteError
from fixtures.store.artifact import Request
from fixtures.store.lease import Lease
from fixtures.store.manifest import damage
from fixtures.store.remote import Remote
from fixtures.store.remote_files import Files
from tests.support.dying import REQUEST, build, crash
from tests.support.nested import run
from tests.support.remotes import SHORT, Node, served, whole


def lacks(*modules: str) -> pytest.MarkDecorator:
    """Skips a test where a package is not installed (requirements/remote.txt)."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


S3, GCS, HTTP = lacks("moto", "s3fs", "flask"), lacks("gcsfs"), lacks("aiohttp")
BUCKET, SECRET = "artifacts", "the-secret-key"
#: Code that runs moto's server on a free port, with a bucket, prints the port, and ends with its standard input.
SERVER = f"""
import boto3, sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
host, port = server.get_host_and_port()
boto3.client("s3", endpoint_url=f"http://127.0.0.1:{{port}}", region_name="us-east-1").create_bucket(Bucket="{BUCKET}")
print(port, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty bucket; S3's drivers find the server and the credentials in the environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "me")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_CONFIG_FILE", str(tmp_path_factory.mktemp("aws") / "none"))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        with subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server:
            try:
                assert server.stdout is not None
                patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{int(server.stdout.readline())}")
                yield f"s3://{BUCKET}"
            finally:
                server.kill()


@S3
def test_what_one_node_built_others_fetch_from_s3(s3: str, tmp_path: Path) -> None:
    def large(out: Path) -> dict[str, object]:
        (out / "large.bin").write_bytes(bytes(range(256)) * 2**17)  # 32 MiB, more than a part of an upload
        return dict(build(out))

    url = f"{s3}/shared"
    made, other = Node(tmp_path / "a", url).get(make=large), Node(tmp_path / "b", url)
    found = other.get(make=crash)
    assert (found.manifest, other.builds, other.said) == (made.manifest, 0, [])
    assert damage(found.path, REQUEST.key) is None
    assert str(other.store.remote) == url


@S3
def test_one_of_many_has_a_lease_in_s3(s3: str) -> None:
    files = Files(f"{s3}/leases")
    assert [Lease(files, "leases/one.json").take() for _ in range(3)] == [True, False, False]
    files.remove("leases/one.json")
    files.remove("leases/one.json")
    assert files.read("leases/one.json") is None


@S3
def test_a_lost_lease_and_a_damaged_object_in_s3(s3: str, tmp_path: Path) -> None:
    url = f"{s3}/damaged"
    files = Files(url)
    files.write(f"leases/{REQUEST.key}.json", b'{"owner": "killed", "beat": 3}')
    first = Node(tmp_path / "a", url, SHORT)
    entry = first.get().manifest["files"]["model.bin"]
    assert (first.builds, first.said) == (1, ["waiting for another node that builds thing"])
    assert files.read(f"leases/{REQUEST.key}.json") is None
    files.write(f"objects/{entry['sha256']}", b"x" * entry["bytes"])
    second, third = Node(tmp_path / "b", url), Node(tmp_path / "c", url)
    second.get()
    assert second.said == [f"thing in {url} is damaged (model.bin does not match its sha256); building it here"]
    third.get(make=crash)
    assert third.builds == 0


@S3
def test_a_bucket_that_is_not_there_is_one_sentence(s3: str) -> None:
    with pytest.raises(
        SuiteError, match=r"^--artifacts-remote s3://nobodys/x: it cannot be used \(The specified bucket does not"
    ):
        Remote("s3://nobodys/x")


@S3
def test_a_service_that_does_not_answer_is_one_sentence(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(SuiteError, match=r"^--artifacts-remote s3://artifacts/x: it cannot be used ") as error:
        Remote(f"{s3}/x")
    assert "Could not connect to the endpoint URL" in str(error.value)


@GCS
@pytest.mark.slow  # the driver tries for half a minute
def test_gcs_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    found = run(
        "tests/conformance", "--collect-only", "-q", f"--artifacts={tmp_path}", "--artifacts-remote=gs://bucket/x",
        STORAGE_EMULATOR_HOST="http://127.0.0.1:9",
    )  # fmt: skip
    assert found.returncode == 4
    assert re.fullmatch(r"ERROR: --artifacts-remote gs://bucket/x: it cannot be used \(.+\); .*\n+", found.stderr)


@pytest.mark.parametrize(("url", "module"), [("s3://bucket", "s3fs"), ("gs://bucket", "gcsfs"), ("https://host", "aiohttp")])
def test_without_the_driver_one_sentence_says_what_to_install(url: str, module: str) -> None:
    if importlib.util.find_spec(module) is not None:
        pytest.skip(f"installed: {module}")
    with pytest.raises(SuiteError, match=rf"there is no driver for it \(.*{module}.*\); install requirements/remote.txt"):
        Remote(url)


@HTTP
def test_http_is_only_read(tmp_path: Path) -> None:
    folder = tmp_path / "remote"
    made = Node(tmp_path / "a", str(folder)).get()
    with served(folder) as url:
        reader = Node(tmp_path / "b", url)
        assert str(reader.store.remote) == f"{url} (only to read)"
        assert reader.get(make=crash).manifest == made.manifest
        reader.get(Request("another", {"inputs": "others"}))
        assert (reader.builds, reader.said) == (1, [])
        assert whole(folder) == 1
        (folder / "objects" / made.manifest["files"]["model.bin"]["sha256"]).write_bytes(b"x" * 1000)
        late = Node(tmp_path / "c", url)
        late.get()
        assert late.said == [f"thing in {url} is damaged (model.bin does not match its sha256); building it here"]
    gone = Request("gone", {"inputs": "gone"})
    late.get(gone)
    assert len(late.said) == 2
    assert late.said[1].startswith(f"{url} cannot be used any more (")


@HTTP
@pytest.mark.slow
def test_a_run_shows_no_credentials(tmp_path: Path) -> None:
    """Neither on the terminal nor in its JSON, its journal or its manifests."""
    (tmp_path / "remote").mkdir()
    with served(tmp_path / "remote") as url:
        address = url.replace("://", "://me:secret-word@") + "?token=hidden-word"
        arguments = (
            "tests/conformance/test_structure.py", "--models=bert-base-cased", "--size=tiny", "--backends=onnxruntime",
            "--precisions=f32", f"--artifacts={tmp_path / 'store'}", f"--benchmark-json={tmp_path / 'run.json'}",
        )  # fmt: skip
        found = run(*arguments, f"--artifacts-remote={address}")
        again = run(*arguments, ENCODER_PARITY_ARTIFACTS_REMOTE=address)
    assert found.returncode == again.returncode == 0, found.stdout[-3000:] + found.stderr[-3000:]
    assert f"behind them {url} (only to read)" in found.stdout
    told = [found.stdout, found.stderr, again.stdout, again.stderr]
    told += [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.suffix in (".json", ".jsonl", ".log")]
    for text in told:
        assert "secret-word" not in text
        assert "hidden-word" not in text
    assert url in json.loads((tmp_path / "run.json").read_text())["encoder_parity"]["command"]


def test_a_remote_that_nobody_answers_for_shows_no_credentials(tmp_path: Path) -> None:
    found = run(
        "tests/conformance/test_structure.py", "--collect-only", "-q", f"--artifacts={tmp_path / 'store'}",
        "--artifacts-remote=http://me:secret-word@127.0.0.1:9/x?token=hidden-word",
    )  # fmt: skip
    assert found.returncode == 4
    assert re.match(r"ERROR: --artifacts-remote http://127.0.0.1:9/x: (it cannot be used|there is no driver)", found.stderr)
    assert found.stderr.strip().count("\n") == 0
    for word in ("secret-word", "hidden-word", "Traceback"):
        assert word not in found.stdout + found.stderr
