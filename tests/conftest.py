"""Hypothesis profiles, the marker ``slow`` of the suite's tests, and fixtures for tests of the report.

The profile ``suite`` uses the same examples every time; ``thorough`` searches for more (--hypothesis-profile). The fixtures
provide the JSON of one real run, and pages made from changed copies of that JSON.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

from fixtures.harness.harness import Harness
from fixtures.options.mrpc import FILES, files
from fixtures.options.settings import Settings
from fixtures.pytest_plugin.hooks import HARNESS
from tests.support.nested import run
from tests.support.reports import Content

HERE = Path(__file__).parent

hypothesis.settings.register_profile(
    "suite",
    max_examples=8,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile("emulated", hypothesis.settings.get_profile("suite"), max_examples=2)
hypothesis.settings.register_profile("thorough", max_examples=200, deadline=timedelta(minutes=1))
hypothesis.settings.load_profile("suite")


#: Folders in which every test is marked ``slow``: it takes long, or only matters to those who change the suite.
SLOW = ("robustness", "mutation")


def pytest_itemcollected(item: pytest.Item) -> None:
    """Marks the tests of these folders ``slow``. A file there that is not ``test_*.py`` was named on the command line."""
    if item.path.name.startswith("test_") and item.path.relative_to(HERE).parts[0] in SLOW:
        item.add_marker("slow")


def pytest_configure(config: pytest.Config) -> None:
    """Reduces the number of examples on an emulated CPU, which takes as long for two as its host for two hundred."""
    if config.stash[HARNESS].target.emulated and not config.getoption("--hypothesis-profile"):
        hypothesis.settings.load_profile("emulated")


@pytest.fixture(scope="session")
def made(harness: Harness, settings: Settings) -> Path:
    """The folder of ``pytest bench --report`` on the default model, made once for all xdist workers."""
    folder = harness.store.run / "page"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            found = run(
                "bench", "--models=minilm-l6", f"--artifacts={harness.store.root}",
                "--backends=pytorch,onnxruntime,onnxruntime_fused",
                "--precisions=f32,int8_dynamic", *_dev_only(settings.mrpc, harness.store.run / "mrpc"), f"--report={folder}",
                "-m", "grid or profile or claims or not grid", "--threads=1", f"--traces={folder}/traces",
                "-k", "(latency or agreement or accuracy or test_graph or test_profile or test_grid and fused-int8"
                " or plain-onnx-slower-on-arm) and not opset11 and not reduce_range and not library_default",
                timeout=900,
            )  # fmt: skip
            folder.mkdir(exist_ok=True)
            (folder / "log").write_text(found.stdout + found.stderr, encoding="utf-8")
            assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-2000:]
    return folder


def _dev_only(mrpc: Path | None, folder: Path) -> list[str]:
    """The option ``--mrpc`` for a folder with links to the files of ``mrpc``, without its test pairs: they take minutes."""
    if mrpc is None:
        return []
    folder.mkdir(exist_ok=True)
    for split, path in files(mrpc).items():
        if split in FILES and not (folder / path.name).exists():
            (folder / path.name).symlink_to(path)
    return [f"--mrpc={folder}"]


@pytest.fixture
def content(made: Path) -> Content:
    """A copy of the JSON of that run, which a test may change."""
    found: Content = json.loads((made / "run.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture
def page(tmp_path: Path) -> Callable[..., Path]:
    """``page(content, ...)`` writes the page and the summary of these runs, without pictures, and returns its index.html."""

    def write_page(*contents: Content) -> Path:
        from fixtures.report.html import runs, write  # takes half a second, which collection does not need

        for number, one in enumerate(contents):
            (tmp_path / f"run-{number}.json").write_text(json.dumps(one), encoding="utf-8")
        files = [tmp_path / f"run-{number}.json" for number in range(len(contents))]
        html, summary, _ = write.render(write.page(runs.read_all(files)))
        (tmp_path / "summary.md").write_text(summary, encoding="utf-8")
        (tmp_path / "index.html").write_text(html, encoding="utf-8")
        return tmp_path / "index.html"

    return write_page
