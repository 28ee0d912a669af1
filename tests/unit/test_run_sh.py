"""run.sh in a checkout of its own, with a `uv` and Pythons that only write down what they were asked."""

import os
import re
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from tests.support.waiting import PATIENCE, until

REPOSITORY = Path(__file__).parents[2]

UV = """#!/bin/sh
echo "uv $*" >>"$LOG"
case "$1" in
--version) echo "uv ${UV_VERSION:-0.13.8} (test)" ;;
venv)
    for venv; do :; done
    mkdir -p "$venv/bin"
    said='"askonce $*; rules=$ASKONCE_RULES data=$ASKONCE_DATA certs=$ASKONCE_CERTS"'
    printf '#!/bin/sh\\necho %s\\n' "$said" >"$venv/bin/askonce"
    said='"python $*${PYTHONDONTWRITEBYTECODE:+, keeps nothing}"'
    printf '#!/bin/sh\\necho %s >>"$LOG"; exit ${PYTEST_CODE:-0}\\n' "$said" >"$venv/bin/python"
    for tool in ruff mypy lint-imports vulture; do
        printf '#!/bin/sh\\necho "%s $*" >>"$LOG"; exit ${TOOL_CODE:-0}\\n' $tool >"$venv/bin/$tool"
    done
    chmod +x "$venv"/bin/* ;;
pip) sleep "${PIP_TIME:-0}"; exit "${PIP_CODE:-0}" ;;
python) [ "$2" = find ] && echo "$MANAGED" ;;
esac
exit 0
"""
PYTHON = """#!/bin/sh
echo "$0 $*" >>"$LOG"
[ "$1" = -c ] && exit {suits}
[ "$1" = --version ] && echo "Python 3.99"
[ "$1 $2" = "-m pip" ] && [ -z "{pip}" ] && exit 1
[ "$1 $2 $3" = "-m pip install" ] || exit 0
while [ "$1" != --target ]; do shift; done
mkdir -p "$2/bin"
cp "$UV" "$2/bin/uv"
for file; do :; done
cat "$file" >>"$LOG"
"""
LOCK = """uv==1.2.3 \\
    --hash=sha256:00
    # via askonce (pyproject.toml:installer)
yarl==1.0 \\
    --hash=sha256:11
"""


class Checkout:
    """A folder with run.sh, and the PATH and variables that it is run with."""

    def __init__(self, root: Path) -> None:
        self.root = root / "a checkout"
        self.bin = root / "bin"
        self.home = root / "home"
        self.log_file = root / "log"
        for folder in (self.root, self.bin, self.home):
            folder.mkdir()
        self.log_file.touch()
        shutil.copy(REPOSITORY / "run.sh", self.root)
        (self.root / "pyproject.toml").write_text("[project]\n")
        (self.root / "requirements.lock").write_text(LOCK)
        for tool in (
            "bash",
            "cat",
            "chmod",
            "cksum",
            "cp",
            "dirname",
            "ln",
            "mkdir",
            "mv",
            "readlink",
            "rm",
            "sed",
            "sh",
            "sleep",
        ):
            (self.bin / tool).symlink_to(shutil.which(tool) or pytest.fail(f"no {tool}"))
        self.environ = {
            "PATH": str(self.bin),
            "HOME": str(self.home),
            "LOG": str(self.log_file),
            "UV": str(self.script(root / "uv", UV)),
        }

    def script(self, path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def add_uv(self) -> None:
        self.script(self.bin / "uv", UV)

    def add_python(self, path: str, *, suits: bool = True, pip: bool = False) -> Path:
        """A Python, below the folder of the PATH or anywhere else; one that does not suit exits with 127."""
        return self.script(self.bin / path, PYTHON.format(suits=0 if suits else 127, pip="yes" if pip else ""))

    def start(
        self, *args: str, cwd: Path | None = None, script: Path | None = None, **environ: str
    ) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [script or self.root / "run.sh", *args],
            env={**self.environ, **environ},
            cwd=cwd or self.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *args: str, code: int = 0, **options: object) -> "subprocess.CompletedProcess[str]":
        process = self.start(*args, **options)  # type: ignore[arg-type]
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == code, (out, err)
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    def log(self) -> list[str]:
        """What was asked since the last look."""
        lines = self.log_file.read_text().splitlines()
        self.log_file.write_text("")
        return lines


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


@pytest.fixture
def ready(checkout: Checkout) -> Checkout:
    """A checkout with a machine that has all it takes."""
    checkout.add_uv()
    checkout.add_python("python3.13")
    return checkout


def venv_of(lines: list[str]) -> str:
    """The Python that the environment was made with."""
    (made,) = [line for line in lines if line.startswith("uv venv")]
    return made.split(" --python ")[1].split(" ")[0]


def test_the_first_run_sets_up_and_runs(ready: Checkout) -> None:
    done = ready.run("stats", "--json")
    root = ready.root
    assert done.stdout == f"askonce stats --json; rules={root}/rules.yaml data={root}/data certs={root}/certs\n"
    assert re.sub(r"after \d+ s", "after N s", done.stderr).splitlines() == [
        f"askonce: setting up in .venv with Python 3.99 ({ready.bin}/python3.13)",
        "askonce: ready after N s",
    ]
    assert [line for line in ready.log() if line.startswith("uv ")] == [
        "uv --version",
        f"uv venv --quiet --no-project --python {ready.bin}/python3.13 {root}/.venv",
        f"uv pip install --quiet --python {root}/.venv --require-hashes"
        " -r pyproject.toml --extra graph --group deep --group build -c requirements.lock",
        f"uv pip install --quiet --python {root}/.venv --no-deps --no-build-isolation --offline -e .",
    ]


def test_where_python_keeps_nothing_that_it_compiles_the_set_up_compiles(ready: Checkout) -> None:
    ready.run("stats", PYTHONDONTWRITEBYTECODE="1")
    log = ready.log()
    assert [line for line in log if "--compile-bytecode" in line and "--require-hashes" in line]
    assert "python -m compileall -q addon, keeps nothing" in log


def test_what_tests_compile_is_kept(ready: Checkout) -> None:
    ready.run("test", PYTHONDONTWRITEBYTECODE="1")
    log = ready.log()
    assert log[-1].startswith("python -m pytest ") and "keeps nothing" not in log[-1]
    assert not [line for line in log if "--compile-bytecode" in line or "compileall" in line]


def test_the_next_run_starts_nothing_but_askonce(ready: Checkout) -> None:
    ready.run()
    ready.log()
    done = ready.run()
    assert done.stdout.startswith("askonce serve; ")
    assert (done.stderr, ready.log()) == ("", [])


def test_a_second_start_adds_less_than_a_fifth_of_a_second(ready: Checkout) -> None:
    """Of a processor's time: others may have it for as long as they like."""
    ready.run()

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        ready.run()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(5)) < 0.2


def test_variables_of_the_user_stay(ready: Checkout) -> None:
    done = ready.run("serve", ASKONCE_RULES="r", ASKONCE_DATA="d", ASKONCE_CERTS="c")
    assert done.stdout == "askonce serve; rules=r data=d certs=c\n"


def test_it_runs_from_anywhere_through_links(ready: Checkout, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "first").symlink_to("../second")
    (tmp_path / "second").symlink_to(ready.root / "run.sh")
    done = ready.run("env", script=tmp_path / "links" / "first", cwd=tmp_path)
    assert f"data={ready.root}/data" in done.stdout
    assert (ready.root / ".venv" / "stamp").exists()


@pytest.mark.parametrize("name", ["requirements.lock", "pyproject.toml"])
def test_a_changed_file_sets_up_again(ready: Checkout, name: str) -> None:
    ready.run()
    ready.log()
    with (ready.root / name).open("a") as file:
        file.write("# changed\n")
    assert "setting up" in ready.run().stderr
    assert ready.run().stderr == ""


def test_a_moved_folder_sets_up_again(ready: Checkout) -> None:
    ready.run()
    ready.root = ready.root.rename(ready.root.with_name("moved"))
    assert "setting up" in ready.run().stderr


def test_a_python_that_is_gone_sets_up_again(ready: Checkout) -> None:
    ready.run()
    (ready.root / ".venv" / "bin" / "python").unlink()
    assert "setting up" in ready.run().stderr


def test_an_interrupted_set_up_is_mended(ready: Checkout) -> None:
    failed = ready.run("stats", code=1, PIP_CODE="3")
    assert failed.stderr.splitlines()[-1] == "askonce: the set-up failed; the next run tries again"
    (ready.root / ".venv" / "left-over").touch()
    assert ready.run("stats").stdout.startswith("askonce stats")
    assert not (ready.root / ".venv" / "left-over").exists()


def test_a_stopped_set_up_leaves_no_lock(ready: Checkout) -> None:
    process = ready.start(PIP_TIME="1")
    until(lambda: "uv pip" in ready.log_file.read_text())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    assert not os.path.lexists(ready.root / ".venv.lock")
    assert ready.run().stdout.startswith("askonce serve")


def test_two_first_runs_set_up_once(ready: Checkout) -> None:
    started = [ready.start("stats", PIP_TIME="0.3") for _ in range(3)]
    said = [process.communicate(timeout=PATIENCE) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0]
    assert all(out.startswith("askonce stats") for out, _ in said)
    assert sum(line.startswith("uv venv") for line in ready.log()) == 1
    assert sum("waiting for another set-up" in err for _, err in said) == 2


def test_the_lock_of_a_dead_process_is_taken_over(ready: Checkout) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    (ready.root / ".venv.lock").symlink_to(str(dead.pid))
    assert ready.run("stats").stdout.startswith("askonce stats")
    assert not os.path.lexists(ready.root / ".venv.lock")


def test_a_python_that_does_not_run_is_passed_over(ready: Checkout) -> None:
    for name in ("python3.13", "python3.12", "python3"):
        ready.add_python(name, suits=False)
    good = ready.add_python("python3.14")
    ready.run()
    assert venv_of(ready.log()) == str(good)


def test_the_folders_of_pyenv_are_searched(ready: Checkout) -> None:
    ready.add_python("python3.13", suits=False)
    ready.add_python("../pyenv/versions/3.9.1/bin/python3")
    ready.add_python("../pyenv/versions/3.13.1/bin/python3", suits=False)
    good = ready.add_python("../pyenv/versions/3.12.7/bin/python3")
    root = ready.bin / ".." / "pyenv"
    ready.run(PYENV_ROOT=str(root))
    assert Path(venv_of(ready.log())).resolve() == good.resolve()


def test_uv_is_asked_for_a_python_where_there_is_none(checkout: Checkout) -> None:
    checkout.add_uv()
    managed = checkout.add_python("../managed/python")
    done = checkout.run(MANAGED=str(managed))
    log = checkout.log()
    assert "askonce: no Python 3.12 to 3.14 that runs; asking uv for one" in done.stderr.splitlines()
    assert "uv python install --quiet 3.13" in log
    assert venv_of(log) == str(managed)


def test_the_python_of_the_user_comes_first(ready: Checkout) -> None:
    own = ready.add_python("../own/python")
    ready.run(ASKONCE_PYTHON=str(own))
    assert venv_of(ready.log()) == str(own)


@pytest.mark.parametrize("version", [None, "0.7.22"])
def test_uv_comes_from_pip_and_the_lock_where_it_is_missing_or_old(checkout: Checkout, version: str | None) -> None:
    if version:
        checkout.script(checkout.bin / "uv", f"#!/bin/sh\necho uv {version}\n")
    checkout.add_python("python3.13")
    old = checkout.add_python("python3", suits=False, pip=True)
    done = checkout.run()
    target = checkout.home / ".cache" / "askonce" / "uv-1.2.3"
    assert f"askonce: installing uv 1.2.3 with {old.name} -m pip" in done.stderr.splitlines()
    log = checkout.log()
    (asked,) = [line for line in log if "-m pip install" in line]
    assert f"--no-deps --require-hashes --target {target} --upgrade -r " in asked
    assert "uv==1.2.3 \\" in log and not any(line.startswith("yarl") for line in log)
    # It is found there when the environment has to be made again.
    shutil.rmtree(checkout.root / ".venv")
    checkout.run()
    assert not any("-m pip install" in line for line in checkout.log())


def test_without_uv_and_pip_it_says_what_to_do(checkout: Checkout) -> None:
    checkout.add_python("python3.13")
    done = checkout.run(code=1)
    assert done.stderr.splitlines()[-1] == (
        "askonce: uv is missing, and python3 has no pip to install it with; install uv or pip, then run this again"
    )


def test_tests_run_every_check_and_pass_arguments_on(ready: Checkout) -> None:
    done = ready.run("test", "-k", "two words")
    log = ready.log()
    assert any(line.endswith("--group build --group dev -c requirements.lock") for line in log)
    assert [line for line in log if not line.startswith(("uv ", str(ready.bin)))] == [
        "ruff check .",
        "ruff format --check .",
        "mypy ",
        "lint-imports --no-logo",
        "vulture ",
        "python -m pytest -k two words",
    ]
    assert done.stderr.splitlines()[-1] == "askonce: everything passed"
    assert ready.run().stderr == ""  # what is set up for tests serves as well


@pytest.mark.parametrize(
    ("codes", "failed"),
    [({"TOOL_CODE": "1"}, "ruff format mypy imports dead-code"), ({"PYTEST_CODE": "1"}, "pytest")],
)
def test_a_failed_check_fails_the_tests_after_all_have_run(ready: Checkout, codes: dict[str, str], failed: str) -> None:
    done = ready.run("test", code=1, **codes)
    assert done.stderr.splitlines()[-1] == f"askonce: failed: {failed}"
    assert "python -m pytest" in "\n".join(ready.log())


def test_the_lock_names_no_place() -> None:
    text = (REPOSITORY / "requirements.lock").read_text()
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    assert all(line.startswith("    --hash=sha256:") or "==" in line for line in lines)
    assert "://" not in text and "--index-url" not in text and "--find-links" not in text


def test_ci_runs_the_command_of_the_readme() -> None:
    lines = (REPOSITORY / ".ci" / "run").read_text().splitlines()
    commands = [line for line in lines if line and not line.startswith("#")]
    assert commands == ['exec "$(dirname "${BASH_SOURCE[0]}")/../run.sh" test']
    assert "./run.sh test" in (REPOSITORY / "README.md").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="nobody is asked for a password")
def test_the_tests_of_the_page_are_given_a_browser_where_there_is_none(ready: Checkout) -> None:
    ready.script(ready.bin / "apt-get", '#!/bin/sh\necho "apt-get $*" >> "$LOG"\n')
    ready.run("test")
    install = "apt-get install --yes --no-install-recommends chromium-headless-shell"
    assert [line for line in ready.log() if "apt-get" in line] == ["apt-get update", install]
    ready.script(ready.bin / "chromium", "#!/bin/sh\n")
    ready.run("test")
    assert not [line for line in ready.log() if "apt-get" in line]
