"""The wheel and the sdist, built as for a package index, and the wheel in an environment of its own."""

from __future__ import annotations

import email
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.e2e.conftest import free_port
from tests.support.waiting import PATIENCE

from askonce import __version__

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "addon" / "askonce"
DEEP = REPOSITORY / "packaging" / "deep"
LICENCES = {"LICENSE", *(f"licenses/{name}.txt" for name in ("Apache-2.0", "MIT-preact", "NOTICE", "SCOWL"))}


def run(*command: str | Path, cwd: Path = REPOSITORY, **environment: str) -> subprocess.CompletedProcess[str]:
    theirs = {name: value for name, value in os.environ.items() if not name.startswith(("ASKONCE_", "PYTHON"))}
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**theirs, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def must(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both; no network is asked, since what builds them is installed."""
    folder = tmp_path_factory.mktemp("dist")
    must(run(sys.executable, "-m", "hatchling", "build", "--directory", folder))
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (found,) = built.glob("*.whl")
    return found


def in_the_checkout() -> set[str]:
    """The files of the package."""
    files = (file.relative_to(PACKAGE.parent) for file in PACKAGE.rglob("*") if file.is_file())
    return {str(file) for file in files if "__pycache__" not in file.parts}


def test_an_index_takes_both(built: Path) -> None:
    told = must(run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", *built.iterdir()))
    assert told.count("PASSED") == 2


def test_the_wheel_has_all_of_the_package_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    told = f"askonce-{__version__}.dist-info"
    assert {name for name in names if not name.startswith(told)} == in_the_checkout() | {"askonce/rules.yaml"}
    assert {f"{told}/licenses/{name}" for name in LICENCES} <= names
    assert {
        "askonce/py.typed",
        "askonce/api/static/index.html",
        "askonce/api/static/vendor/preact.js",
        "askonce/cache/judge/lexicon/antonyms.txt",
        "askonce/cache/judge/params/judge.npz",
        "askonce/exec/preload/python/sitecustomize.py",
        "askonce/rules/prices.tsv",
    } <= names


def test_what_the_deep_judge_learned_is_a_wheel_of_its_own(tmp_path: Path) -> None:
    must(run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path, cwd=DEEP))
    (found,) = tmp_path.iterdir()
    must(run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", found))
    names = set(zipfile.ZipFile(found).namelist())
    package = {file.name for file in (PACKAGE.parent / "askonce_deep").iterdir() if file.is_file()}
    assert package >= {"__init__.py", "calibration.json", "model.onnx", "py.typed", "tokenizer.json"}
    told = f"askonce_deep-{__version__}.dist-info"
    assert {name for name in names if not name.startswith(told)} == {f"askonce_deep/{name}" for name in package}
    assert {
        f"{told}/licenses/{name}" for name in ("LICENSE", "licenses/Apache-2.0.txt", "licenses/NOTICE.txt")
    } <= names


def test_the_sdist_has_what_the_wheel_is_made_from_and_no_tests(built: Path) -> None:
    (found,) = built.glob("*.tar.gz")
    with tarfile.open(found) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    package = {f"addon/{name}" for name in in_the_checkout()}
    others = LICENCES | {".gitignore", "CHANGELOG.md", "PKG-INFO", "README.md", "pyproject.toml", "rules.yaml"}
    assert names == package | others


def test_the_description_stands_without_the_repository(wheel: Path) -> None:
    told = email.message_from_bytes(zipfile.ZipFile(wheel).read(f"askonce-{__version__}.dist-info/METADATA"))
    assert told["Author"] == "The Askonce developers"
    assert told["License-Expression"] == "MIT AND Apache-2.0"
    assert "Typing :: Typed" in told.get_all("Classifier", [])
    text = told.get_payload()
    assert text.startswith("# Askonce") and "## How to trust it" in text
    assert "run.sh" not in text and "mermaid" not in text
    assert not re.search(r"\]\((?!https?://)", text)


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment with the wheel and what it needs."""
    folder = tmp_path_factory.mktemp("venv")
    uv = find_uv()
    must(run(uv, "venv", "--quiet", "--clear", "--no-project", "--python", sys.executable, folder))
    install = (uv, "pip", "install", "--quiet", "--python", folder)
    needed = run(*install, "--require-hashes", "-r", "pyproject.toml", "-c", "requirements.lock")
    if needed.returncode:
        pytest.skip(f"what the wheel needs is not to be had here: {needed.stderr.strip()[-300:]}")
    must(run(*install, "--no-deps", "--offline", wheel))
    must(run(uv, "pip", "check", "--quiet", "--python", folder))
    return folder / "bin"


def test_it_is_small(environment: Path) -> None:
    """`python -m tests.install` measures it with what Python compiles, which is a quarter more."""
    files = (file for file in environment.parent.rglob("*") if file.is_file() and not file.is_symlink())
    assert sum(file.stat().st_size for file in files if file.suffix != ".pyc") < 430e6


def find_uv() -> str:
    """The one that run.sh finds."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    for candidate in ("uv", *map(str, (cache / "askonce").glob("uv-*/bin/uv")), str(Path.home() / ".local/bin/uv")):
        if found := shutil.which(candidate):
            return found
    pytest.skip("there is no uv to make an environment with")


def test_the_installed_wheel_keeps_out_of_the_folder_that_it_is_run_in(environment: Path, tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "project"
    home.mkdir()
    folder.mkdir()
    variables = {"HOME": str(home), "XDG_DATA_HOME": "", "ASKONCE_LISTEN": f"127.0.0.1:{free_port()}"}

    def told(*command: str) -> str:
        return must(run(environment / command[0], *command[1:], cwd=folder, **variables))

    assert told("askonce", "--version") == f"askonce {__version__}\n"
    assert "rules.yaml" in told("askonce", "rules", "check")
    assert not list(home.iterdir())
    told("askonce", "exec", "--", "true")
    own = Path(told("python", "-c", "import platformdirs; print(platformdirs.user_data_path('askonce'))").strip())
    assert own.is_relative_to(home)
    assert (own / "data" / "askonce.db").is_file() and (own / "certs" / "mitmproxy-ca.pem").is_file()
    assert not list(folder.iterdir())
