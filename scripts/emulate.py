"""Make a Python that runs on an emulated CPU, with qemu-user and, for another architecture, Debian's Python and wheels.

    python -m scripts.emulate neoverse-n1 cortex-a72 Haswell

This needs no root, chroot or binfmt_misc: Debian's packages are downloaded with a separate apt state and unpacked into a folder
of the user's cache, and wheels are installed there too. The script prints the path of each interpreter and does not make
existing ones again. On an emulated CPU of this machine's architecture, the Python that runs this script is used, with its
packages.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import FileLock
from packaging.requirements import Requirement

from fixtures.options.emulation import CPUS, Stack
from fixtures.store.source_code import ROOT

#: Debian's names of architectures.
DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}
#: The Debian releases of the emulator, which must be version 10 (7.2 crashes ONNX Runtime), and of the userland, with the
#: Python version of the wheels.
EMULATOR, USERLAND, PYTHON = "bookworm-backports", "bookworm", "3.11"
PACKAGES = (f"python{PYTHON}", "libstdc++6", "libgomp1")
PLATFORMS = (*(f"manylinux_2_{minor}" for minor in range(36, 16, -1)), "manylinux2014")
MIRROR = "ENCODER_PARITY_DEBIAN"
#: How a program begins.
ELF = b"\x7fELF"
#: qemu's model where the CPU's name alone gives warnings about features that qemu lacks.
MODELS = {"Haswell": "Haswell,-hle,-rtm"}
#: Other versions of the suite leave other Pythons. Those that were not requested for this long are removed when one is made.
KEPT_SECONDS = 7 * 86400.0

APT = """
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Dir::State "{place}/state";
Dir::State::status "{place}/status";
Dir::Cache "{place}/cache";
Dir::Etc::SourceList "{place}/sources.list";
Dir::Etc::SourceParts "{place}/sources";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; "{host}"; }};
APT::Install-Recommends "false";
Acquire::Languages "none";
Acquire::Retries "3";
Debug::NoLocking "true";
"""
WRAPPER = """#!/bin/sh
# Python on an emulated {cpu}. Worker processes that it starts through sys.executable are emulated too.
export ENCODER_PARITY_EMULATED="{wrapper}" PYTHONPATH="{startup}${{PYTHONPATH:+:$PYTHONPATH}}"
exec "{qemu}" -cpu {model}{root} "{python}" "$@"
"""
PROGRAM = """#!/bin/sh
# A program that a package starts, on an emulated {cpu}.
exec "{qemu}" -cpu {cpu} -L "{root}" "{program}" "$@"
"""
STARTUP = """import os
import sys

sys.executable = os.environ["ENCODER_PARITY_EMULATED"]
"""


class Failure(Exception):
    """An emulated Python cannot be made; the text is one sentence."""


def run(command: Sequence[str | Path], failing: str) -> str:
    """Run a command and return its output; Failure with the last lines of its output if it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        raise Failure(f"{failing}: {command[0]} is not installed") from None
    if done.returncode != 0:
        lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise Failure(f"{failing}; {command[0]} says:\n  " + "\n  ".join(lines[-6:]))
    return done.stdout


def mirror() -> str:
    """Return the Debian archive that ENCODER_PARITY_DEBIAN names, or that this machine's apt uses."""
    if named := os.environ.get(MIRROR):
        return named
    advice = f"name a mirror of Debian in {MIRROR}"
    listed = run(
        ("apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)", "Identifier: Packages"),
        f"the sources of apt cannot be read: {advice}",
    )
    for line in listed.splitlines():
        origin, label, uri = line.split(" ", 2)
        if (origin, label) == ("Debian", "Debian"):
            return uri
    raise Failure(f"apt has no list of a Debian archive: run `apt-get update` first, or {advice}")


class Debian:
    """Downloads packages for ``architecture`` and for this machine with an apt whose state is kept in ``place``."""

    def __init__(self, place: Path, architecture: str) -> None:
        self.place, self.host = place, DEBIAN[platform.machine()]
        for name in ("state/lists/partial", "cache/archives/partial", "sources"):
            (place / name).mkdir(parents=True)
        (place / "status").touch()
        uri = mirror()
        sources = [f"deb [arch={self.host}] {uri} {EMULATOR} main\n"]
        if architecture != self.host:
            sources.append(f"deb [arch={architecture}] {uri} {USERLAND} main\n")
        (place / "sources.list").write_text("".join(sources), encoding="utf-8")
        (place / "apt.conf").write_text(APT.format(place=place, architecture=architecture, host=self.host), encoding="utf-8")
        self._apt("update")

    def _apt(self, *arguments: str) -> None:
        run(("apt-get", "-q", "-c", self.place / "apt.conf", *arguments), f"apt-get {arguments[0]} of Debian's packages failed")

    def unpack_emulator(self, into: Path) -> None:
        """Unpack qemu-user for this machine."""
        self._unpack(("install", "-y", "--download-only", f"qemu-user:{self.host}"), into, "qemu-user_")

    def unpack_userland(self, into: Path) -> None:
        """Unpack Python and the libraries that wheels expect, with all their dependencies."""
        self._unpack(("install", "-y", "--download-only", *PACKAGES), into, "")

    def _unpack(self, arguments: tuple[str, ...], into: Path, prefix: str) -> None:
        self._apt(*arguments)
        for package in sorted((self.place / "cache" / "archives").glob(f"{prefix}*.deb")):
            run(("dpkg-deb", "--extract", package, into), f"{package.name} cannot be unpacked")
            package.unlink()


def pins(stack: Stack) -> Iterator[str]:
    """Yield the requirements in the stack's files; those without a version get that of ``current.txt`` on its architecture."""

    def read(name: str) -> Iterator[Requirement]:
        for line in (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                requirement = Requirement(line)
                if requirement.marker is None or requirement.marker.evaluate({"platform_machine": stack.architecture}):
                    yield requirement

    current = {requirement.name: str(requirement.specifier) for requirement in read("current.txt")}
    named = {requirement.name: str(requirement.specifier) for name in stack.requirements for requirement in read(name)}
    for name, specifier in named.items():
        yield f"{name}{specifier or current[name]}"


def install(stack: Stack, into: Path) -> None:
    """Install wheels of another architecture; only the pins, since pip would resolve dependencies for this machine."""
    platforms = [f"--platform={name}_{stack.architecture}" for name in PLATFORMS]
    run(
        (
            sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps",
            "--only-binary=:all:", f"--python-version={PYTHON}", "--implementation=cp", *platforms, f"--target={into}",
            *pins(stack),
        ),
        f"the wheels of {' and '.join(stack.requirements)} cannot be installed",
    )  # fmt: skip


def _is_program(path: Path) -> bool:
    if not path.is_file() or not os.access(path, os.X_OK):
        return False
    with path.open("rb") as file:
        return file.read(len(ELF)) == ELF


def emulate_programs(stack: Stack, packages: Path, place: Path, final: Path) -> None:
    """Put a script in the place of every program that a package has in a folder ``bin``: the kernel could not start it.

    ExecuTorch, for one, reads its files with such a program.
    """
    for program in [path for path in packages.glob("*/**/bin/*") if _is_program(path)]:
        kept = program.rename(program.with_name(f"{program.name}.{stack.architecture}"))
        text = PROGRAM.format(
            cpu=stack.cpus[0], qemu=final / "bin" / f"qemu-{stack.architecture}", root=final / "root",
            program=final / kept.relative_to(place),
        )  # fmt: skip
        program.write_text(text, encoding="utf-8")
        program.chmod(0o755)


def make(stack: Stack, place: Path, final: Path) -> None:
    """Make the emulator and the Pythons of ``stack`` in ``place``, a folder that will be renamed to ``final``."""
    debian = Debian(place / "apt", DEBIAN[stack.architecture])
    debian.unpack_emulator(place / "emulator")
    qemu = next((place / "emulator").rglob(f"qemu-{stack.architecture}"), None)
    if qemu is None:
        raise Failure(f"the package qemu-user has no qemu-{stack.architecture}")
    kept = place / "bin" / qemu.name
    kept.parent.mkdir()
    qemu.rename(kept)
    if not stack.own:
        debian.unpack_userland(place / "root")
        packages = place / "root" / "usr" / "local" / "lib" / f"python{PYTHON}" / "dist-packages"
        install(stack, packages)
        emulate_programs(stack, packages, place, final)
    shutil.rmtree(place / "apt")
    shutil.rmtree(place / "emulator")
    (place / "startup").mkdir()
    (place / "startup" / "sitecustomize.py").write_text(STARTUP, encoding="utf-8")
    python = sys.executable if stack.own else final / "root" / "usr" / "bin" / f"python{PYTHON}"
    for cpu, name in zip(stack.cpus, stack.names, strict=True):
        wrapper = place / "bin" / name
        text = WRAPPER.format(
            cpu=cpu, model=MODELS.get(cpu, cpu), wrapper=final / "bin" / name, startup=final / "startup",
            qemu=final / "bin" / kept.name, root="" if stack.own else f' -L "{final / "root"}"', python=python,
        )  # fmt: skip
        wrapper.write_text(text, encoding="utf-8")
        wrapper.chmod(0o755)


def check(cpu: str, interpreter: Path) -> None:
    """Raise Failure unless the new Python runs, on the right architecture."""
    found = run((interpreter, "-c", "import platform, numpy; print(platform.machine())"), f"Python on {cpu} does not run")
    if found.strip() != CPUS[cpu].architecture:
        raise Failure(f"Python on {cpu} says that it is on {found.strip()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return 1 and print one sentence if a Python cannot be made."""
    parser = argparse.ArgumentParser(prog="python -m scripts.emulate", description=__doc__.split("\n")[0])
    parser.add_argument("cpus", nargs="+", metavar="CPU", choices=CPUS, help=", ".join(CPUS))
    cpus = parser.parse_args(arguments).cpus
    try:
        for stack in dict.fromkeys(CPUS[cpu] for cpu in cpus):
            ensure(stack)
        for cpu in cpus:
            print(CPUS[cpu].folder / "bin" / cpu)
    except Failure as failure:
        print(f"{parser.prog}: {failure}", file=sys.stderr)
        return 1
    return 0


def ensure(stack: Stack) -> None:
    """Make the folder of ``stack`` if it does not exist; an incomplete one is removed."""
    if platform.system() != "Linux" or platform.machine() not in DEBIAN:
        raise Failure(f"qemu-user is for Linux on {' or '.join(DEBIAN)}; this is {platform.system()} on {platform.machine()}")
    final = stack.folder
    final.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{final}.lock"):
        if final.exists():
            os.utime(final)
            return
        print(
            f"making a Python on emulated {' and '.join(stack.names)}: a minute or two, 1.2 GB (5 GB with CUDA)",
            file=sys.stderr,
        )
        place = final.parent / f"{final.name}.tmp"
        shutil.rmtree(place, ignore_errors=True)
        try:
            place.mkdir()
            make(stack, place, final)
            place.rename(final)
            for cpu in stack.names:
                check(cpu, final / "bin" / cpu)
        except BaseException:
            shutil.rmtree(place, ignore_errors=True)
            shutil.rmtree(final, ignore_errors=True)
            raise
        for other in final.parent.glob(f"{stack.architecture}-*"):
            if other.is_dir() and time.time() - other.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(other, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
