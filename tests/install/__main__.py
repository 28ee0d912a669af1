"""`python -m tests.install`: what somebody gets who installs the wheel, on each Python that Askonce is for.

In an empty folder, with a home of its own: `pip install`, how large that is, the demo, a proxy and a command behind it,
`doctor`, a test with the pytest plugin; and, where there is uv, `uvx`. Asks a package index, and nobody else. Ends with
1 where something was not as it must be, or where no Python was found.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.processes import answer_for_all, end
from tests.support.waiting import PATIENCE, until

REPOSITORY = Path(__file__).parents[2]
PYTHONS = ("3.12", "3.13", "3.14")
MOST = 600
"""MB of an environment, what Python compiled included."""
SUITE = """
import openai, pytest

@pytest.mark.askonce
def test_strict():
    question = [{"role": "user", "content": "What is the capital of France?"}]
    with pytest.raises(openai.InternalServerError, match="no answer to this call is recorded"):
        openai.OpenAI(max_retries=0).chat.completions.create(model="gpt-4o-mini", messages=question)
"""


class Failed(Exception):
    """A command did not do what it must."""


class Place:
    """An empty folder to work in, and a home."""

    def __init__(self, folder: Path) -> None:
        self.project, self.home = folder / "project", folder / "home"
        self.project.mkdir()
        self.home.mkdir()
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("ASKONCE_", "PYTHON", "XDG_DATA", "VIRTUAL_"))}
        self.environment = {**kept, "HOME": str(self.home), "UV_CACHE_DIR": _uv_cache()}

    def run(self, *command: str | Path) -> str:
        done = subprocess.run(
            [*map(str, command)],
            cwd=self.project,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        if done.returncode:
            raise Failed(f"{' '.join(map(str, command))[-120:]}: {(done.stdout + done.stderr).strip()[-600:]}")
        return done.stdout + done.stderr


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.install", description=__doc__)
    parser.add_argument("versions", nargs="*", default=PYTHONS, help="of Python")
    asked = parser.parse_args()
    answer_for_all()
    with tempfile.TemporaryDirectory(prefix="askonce-install-") as folder:
        wheel = build(Path(folder) / "dist")
        found = {version: find(version) for version in asked.versions}
        failed = [version for version, python in found.items() if python and not tried(version, python, wheel)]
    for version in (version for version, python in found.items() if not python):
        print(f"Python {version}: not on this machine")
    return int(bool(failed) or not any(found.values()))


def build(folder: Path) -> Path:
    for project in (REPOSITORY, REPOSITORY / "packaging" / "deep"):
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder],
            cwd=project,
            check=True,
            capture_output=True,
        )
    return next(folder.glob("askonce-*.whl"))


def find(version: str) -> str | None:
    """A Python of this version that runs: on the path, of pyenv, or of uv."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    uv = Path.home() / ".local" / "share" / "uv" / "python"
    candidates = [f"python{version}", *pyenv.glob(f"{version}.*/bin/python3"), *uv.glob(f"*-{version}.*/bin/python3")]
    says = "import ssl, sqlite3, sys; print('%d.%d' % sys.version_info[:2])"
    for candidate in map(str, candidates):
        if shutil.which(candidate):
            done = subprocess.run([candidate, "-c", says], capture_output=True, text=True)
            if done.stdout.strip() == version:
                return candidate
    return None


def tried(version: str, python: str, wheel: Path) -> bool:
    """Try everything with it; each thing is a line."""
    with tempfile.TemporaryDirectory(prefix="askonce-install-") as folder:
        place, venv = Place(Path(folder)), Path(folder) / "venv"
        steps: dict[str, Callable[[], str]] = {
            "pip install": lambda: installed(place, python, venv, wheel),
            "demo": lambda: demo(place.run(venv / "bin" / "askonce", "demo")),
            "serve, exec, doctor": lambda: served(place, venv / "bin"),
            "plugin": lambda: plugin(place, venv / "bin"),
            "uvx": lambda: uvx(place, python, wheel),
            "left behind": lambda: left(place),
        }
        for name, step in steps.items():
            begin = time.monotonic()
            try:
                told, good = step(), True
            except (Failed, AssertionError, subprocess.TimeoutExpired, OSError) as error:
                told, good = f"FAILED: {error}", False
            print(f"Python {version}: {name}: {told} ({time.monotonic() - begin:.1f} s)", flush=True)
            if not good:
                return False
    return True


def installed(place: Place, python: str, venv: Path, wheel: Path) -> str:
    place.run(python, "-m", "venv", venv)
    place.run(venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", wheel)
    place.run(venv / "bin" / "pip", "check")
    size, compiled = _megabytes(venv), _megabytes(venv, ".pyc")
    if size > MOST:
        raise Failed(f"{size:.0f} MB, and {MOST} at most")
    return f"{size:.0f} MB, {compiled:.0f} of them compiled by Python"


def demo(told: str) -> str:
    if "6 questions, the provider was asked 2 times" not in told:
        raise Failed(told)
    return "6 questions, 2 asked"


def served(place: Place, programs: Path) -> str:
    listen = _free_listen()
    serve = subprocess.Popen(
        [programs / "askonce", "serve", "--listen", listen],
        cwd=place.project,
        env=place.environment,
        stdout=subprocess.DEVNULL,
        stderr=(place.home / "log").open("wb"),
    )
    try:
        until(lambda: serve.poll() is not None or b"ready" in (place.home / "log").read_bytes())
        if serve.poll() is not None:
            raise Failed((place.home / "log").read_text("utf-8"))
        place.environment["ASKONCE_LISTEN"] = listen
        told = place.run(programs / "askonce", "exec", "--", "sh", "-c", "echo $HTTPS_PROXY")
        if listen not in told:
            raise Failed(told)
        found = json.loads(place.run(programs / "askonce", "doctor", "--json"))
        return f"{len(found) if isinstance(found, list) else 'all'} checks well"
    finally:
        place.environment.pop("ASKONCE_LISTEN", None)
        end(serve)


def plugin(place: Place, programs: Path) -> str:
    place.run(programs / "pip", "install", "--quiet", "--disable-pip-version-check", "pytest")
    (place.project / "test_app.py").write_text(SUITE, "utf-8")
    told = place.run(programs / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider")
    if "1 passed" not in told:
        raise Failed(told)
    (place.project / "test_app.py").unlink()
    return told.strip().splitlines()[-1]


def uvx(place: Place, python: str, wheel: Path) -> str:
    if not (uv := _uv()):
        return "no uv on this machine"
    return demo(place.run(uv, "tool", "run", "--python", python, "--from", wheel, "askonce", "demo"))


def left(place: Place) -> str:
    shutil.rmtree(place.project / "__pycache__", ignore_errors=True)
    if found := sorted(file.name for file in place.project.iterdir()):
        raise Failed(f"in the project's folder: {', '.join(found)}")
    return "nothing in the project's folder"


def _megabytes(folder: Path, suffix: str = "") -> float:
    files = (file for file in folder.rglob(f"*{suffix}") if file.is_file() and not file.is_symlink())
    return sum(file.stat().st_size for file in files) / 1e6


def _free_listen() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def _uvs() -> Iterator[str]:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    yield "uv"
    yield from map(str, (cache / "askonce").glob("uv-*/bin/uv"))
    yield str(Path.home() / ".local/bin/uv")


def _uv() -> str | None:
    return next(filter(None, map(shutil.which, _uvs())), None)


def _uv_cache() -> str:
    return os.environ.get("UV_CACHE_DIR") or str(Path.home() / ".cache" / "uv")


if __name__ == "__main__":
    sys.exit(main())
