"""A confined process reads its own folder and the libraries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fixtures.core.errors import RemoteError
from fixtures.harness.worker_process import WorkerProcess
from fixtures.store.source_code import ROOT


@pytest.mark.landlock
def test_a_confined_process_reads_its_folder_and_libraries(tmp_path: Path) -> None:
    """A confined process cannot read files outside of its folder and the libraries, by any path or link.

    An artifact whose weights are elsewhere would therefore lack them in such a process.
    """
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "weights.bin").write_bytes(b"weights")
    (inside / "link.bin").symlink_to(outside / "weights.bin")
    worker = WorkerProcess("confined", tmp_path / "log", threads=1)

    def read(path: Path) -> Any:
        return worker.ask("call", timeout=60, target="tests.support.mishaps:reads", arguments={"out": str(path)})["value"]

    try:
        assert read(outside / "weights.bin") == 7
        assert worker.ask("confine", timeout=60, folder=str(inside), beyond=str(outside / "weights.bin"))
        assert read(inside / "weights.bin") == 7
        for path in (
            outside / "weights.bin",
            inside / "link.bin",
            inside / ".." / "outside" / "weights.bin",
            ROOT / "README.md",
        ):
            with pytest.raises(RemoteError, match=r"^PermissionError"):
                read(path)
        with pytest.raises(RemoteError, match="lies among the libraries that every process must read"):
            worker.ask("confine", timeout=60, folder=str(inside), beyond=str(ROOT / "fixtures" / "worker" / "server.py"))
    finally:
        worker.close()
