"""``python -m bench.graphs VARIANT`` shows the graph in a variant's artifact in Netron; nothing leaves this machine."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from fixtures.core.errors import SuiteError, one_line
from fixtures.options.paths import place
from fixtures.store.manifest import MANIFEST, damage
from fixtures.store.store import default_root

#: Suffixes of the formats that Netron draws: ONNX, ONNX Runtime's own, TFLite, TorchScript, OpenVINO and ExecuTorch.
GRAPHS = (".onnx", ".ort", ".tflite", ".pt", ".xml", ".pte")
LOOPBACK = "127.0.0.1"


def graph(root: Path, variant: str) -> Path:
    """The graph file in the most recently used artifact of ``variant``; SuiteError says what to do if there is none."""
    built: dict[str, list[Path]] = {}
    for folder in root.glob("*-*"):
        if (match := re.fullmatch(r"(.+)-[0-9a-f]{16}", folder.name)) and (folder / MANIFEST).is_file():
            built.setdefault(match[1], []).append(folder)
    if variant not in built:
        near = difflib.get_close_matches(variant, built, n=3)
        raise SuiteError(
            f"{variant}: no artifact of that name in {root}; "
            + (f"there are {', '.join(near)}" if near else "build it with pytest bench, or give --artifacts DIR")
        )
    folder = max(built[variant], key=lambda path: (path / MANIFEST).stat().st_mtime)
    if trouble := damage(folder):
        raise SuiteError(f"{variant}: {folder} is damaged ({trouble}); the next run that needs it builds it again")
    found = [path for path in sorted(folder.iterdir()) if path.suffix in GRAPHS]
    if not found:
        raise SuiteError(f"{variant}: {folder} holds no graph file ({', '.join(GRAPHS)}); eager PyTorch and Keras have none")
    return found[0]


def stay_here() -> None:
    """Keep Netron's page from contacting other hosts: it would ask one for the reader's country and report usage to another.

    Netron has no public way to add a header, so this replaces a method of its handler; a test checks that nothing leaves.
    """
    from netron import server

    def end_headers(self: BaseHTTPRequestHandler) -> None:
        self.send_header("Content-Security-Policy", "connect-src 'self'; form-action 'none'")
        self.send_header("Set-Cookie", "consent=0; SameSite=Strict")  # answers the consent dialog: nothing is reported
        BaseHTTPRequestHandler.end_headers(self)

    server._HTTPRequestHandler.end_headers = end_headers


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text[:6]) <= 65535:
        raise argparse.ArgumentTypeError(f"{text[:80]!r} is no port: give a number from 0 to 65535")
    return int(text)


def main(arguments: list[str] | None = None) -> int:
    """Serve the graph until Ctrl-C and return 0, or print one sentence that says what is wrong and return 2."""
    parser = argparse.ArgumentParser(prog="python -m bench.graphs", description=__doc__)
    parser.add_argument("variant", help="as in the table, such as minilm-l6-onnxruntime_fused-int8_dynamic")
    parser.add_argument("--artifacts", default=default_root(), metavar="DIR", help="where artifacts are kept")
    parser.add_argument("--port", type=_port, default=0, help="default: a free one")
    parser.add_argument("--no-browser", action="store_true", help="only serve it")
    asked = parser.parse_args(arguments)
    try:
        path = graph(place("--artifacts", asked.artifacts), asked.variant)
    except SuiteError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return 2
    import netron

    stay_here()
    print(f"{path} ({path.stat().st_size / 2**20:.1f} MiB)")
    try:
        host, port = netron.start(str(path), address=(LOOPBACK, asked.port), browse=not asked.no_browser)
    except OSError as error:
        print(f"error: --port {asked.port}: {error.strerror or error}; give another, or none", file=sys.stderr)
        return 2
    print(f"http://{host}:{port} - Ctrl-C ends it", flush=True)
    netron.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
