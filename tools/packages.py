"""The pinned packages of a requirements file, installed by uv into the environment that runs this, and the project itself.

    .venv/bin/python -m tools.packages wheels|all requirements/demo.txt

`wheels` are those that are only unpacked; `all` adds what has to be built first, and the project, and removes what only the
set-up needs. In: a file with hashes. Out: installed packages; on stderr, lines on what is still to come.
Next: `tools.set_up`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
UV = Path(sys.executable).with_name("uv")
SOURCES_MB = {"pyspark": 486}
"""Packages that come as sources, of which uv does not say how far it is: what they take once unpacked."""

WATCH_EVERY_S = 1.0
PIP_TO_UV = {"index-url": "UV_DEFAULT_INDEX", "extra-index-url": "UV_INDEX", "cert": "SSL_CERT_FILE"}


def main(which: str, requirements: Path) -> int:
    env = {**os.environ, **as_pip_is_set()}
    install = [str(UV), "pip", "install", "--python", sys.executable, "--system-certs", "--no-deps"]
    if which == "wheels":
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(without_sources(requirements.read_text("utf-8")))
            file.flush()
            return run([*install, "--require-hashes", "-r", file.name], env)
    install.append("--no-build-isolation")  # what builds is pinned too
    code = run([*install, "--require-hashes", "-r", str(requirements)], env)
    code = code or run([*install, "-e", str(ROOT)], env)
    if code == 0:
        # uv keeps three copies of what it builds, and would build it again all the same.
        subprocess.run([str(UV), "cache", "clean", "--quiet", *SOURCES_MB], env=env, capture_output=True, check=False)
        only_for_this = [name for name in ("uv", "setuptools") if f"\n{name}==" not in requirements.read_text("utf-8")]
        if only_for_this:
            pip = [sys.executable, "-m", "pip", "uninstall", "--yes", "--quiet"]
            subprocess.run([*pip, *only_for_this], capture_output=True, check=False)
    return code


def without_sources(requirements: str) -> str:
    """A requirements file without the packages that have to be built; each starts a line, its hashes are indented."""
    packages = re.split(r"^(?=\S)", requirements, flags=re.MULTILINE)
    return "".join(package for package in packages if package.partition("==")[0] not in SOURCES_MB)


def run(command: list[str], env: dict[str, str]) -> int:
    process = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    ended = threading.Event()
    left: dict[str, str] = {}
    watcher = threading.Thread(target=watch, args=(ended, left, env), daemon=True)
    watcher.start()
    said: list[str] = []
    for line in process.stderr or ():
        said.append(line.strip())
        note(line.strip(), left)
    code = process.wait()
    ended.set()
    watcher.join()
    if code:
        reasons = [line for line in said if re.search("error|failed|×|╰", line, re.IGNORECASE)] or said[-1:]
        tell(
            f"reelstream: the packages can't be installed: {' '.join(reasons)[:500]}; check the network and try again."
        )
    return code


def note(line: str, left: dict[str, str]) -> None:
    """Keeps `left`, packages that are still to come → their size, by a line of uv."""
    if found := re.fullmatch(r"Downloading (\S+) \((.+)\)", line):
        left[found[1]] = found[2].replace("iB", "B")
    elif found := re.fullmatch(r"Downloaded (\S+)", line):
        left.pop(found[1], None)
    elif found := re.fullmatch(r"Resolved (\d+) packages in .+", line):
        tell(f"{found[1]} packages")
        return
    elif found := re.fullmatch(r"(Building|Built) (\S+)==\S+", line):
        tell(f"{found[1].lower()} {found[2]}")
        return
    elif found := re.fullmatch(r"Prepared (\d+) packages? in .+", line):
        tell(f"compiling {found[1]} packages")
        return
    elif found := re.fullmatch(r"Installed (\d+) packages? in .+", line):
        tell(f"{found[1]} installed")
        return
    else:
        return
    if left:
        tell(f"{len(left)} downloads left: {', '.join(f'{name} {size}' for name, size in left.items())}")


def watch(ended: threading.Event, left: dict[str, str], env: dict[str, str]) -> None:
    """Tells how far the packages are that come as sources, as soon as nothing else is left."""
    asked = subprocess.run([str(UV), "cache", "dir"], env=env, capture_output=True, text=True, check=False)
    cache = Path(asked.stdout.strip())
    while not ended.wait(WATCH_EVERY_S):
        for name, whole_mb in SOURCES_MB.items():
            done_mb = sum(size_bytes(path) for path in cache.glob(f"sdists-*/.tmp*/{name}-*")) // 10**6
            if done_mb and not left:
                tell(f"{name}: {max(0, whole_mb - done_mb)} of {whole_mb} MB left")


def size_bytes(directory: Path) -> int:
    return sum(path.lstat().st_size for path in files(directory))


def files(directory: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(directory):
        yield from (path for name in names if (path := Path(parent, name)).exists())


def as_pip_is_set() -> dict[str, str]:
    """uv reads no pip.conf: the index and the certificates that are set for pip, unless uv has its own."""
    asked = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=False)
    found = re.findall(r"^(?:global|install|:env:)\.([a-z-]+)='(.*)'$", asked.stdout, re.MULTILINE)
    return {PIP_TO_UV[name]: value for name, value in found if name in PIP_TO_UV and PIP_TO_UV[name] not in os.environ}


def tell(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
