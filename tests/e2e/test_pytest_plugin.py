"""The pytest plugin: real pytest over a suite with the openai SDK, as docs/testing.md has it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.e2e.conftest import NO_PROXY_VARIABLES, PROXY_VARIABLES, TRUST_VARIABLES, free_port

if TYPE_CHECKING:
    from tests.e2e.conftest import Provider

pytest_plugins = ["pytester"]

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text("utf-8")
(SUITE,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
"""The page's example: three calls, one of them streamed and one asynchronous."""
COMMANDS = [said.split() for said in re.findall(r"^pytest ([^#\n]*)#", PAGE, re.MULTILINE)]
"""The arguments of its first two commands: to record, and to run everywhere else."""
UNUSED = ("anyio", "hypothesispytest", "platformdirs", "pytest_cov", "schemathesis", "timeout")
"""Plugins for pytest that are installed here, and that the suite does not use."""
PLAIN = "def test_plain():\n    import os\n    assert 'askonce' not in os.environ.get('SSL_CERT_FILE', '')\n"


@pytest.fixture
def suite(
    pytester: pytest.Pytester,
    provider: Provider,
    routes: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> pytest.Pytester:
    """The suite in a folder of its own, on a machine with a key."""
    home = tmp_path_factory.mktemp("home")
    for name in (*PROXY_VARIABLES, *TRUST_VARIABLES, *NO_PROXY_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ASKONCE_DATA", str(home / "data"))
    monkeypatch.setenv("ASKONCE_CERTS", str(home / "certs"))
    monkeypatch.setenv("ASKONCE_UPSTREAM_CA", str(provider.ca_file))
    monkeypatch.setenv("ASKONCE_TEST_ROUTES", json.dumps(routes))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "route"))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-mine")
    # They would be loaded by each pytest and each of its workers, and take four times as long as all else there.
    monkeypatch.setenv("PYTEST_ADDOPTS", " ".join(f"-p no:{name}" for name in UNUSED))
    pytester.makeini(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error"
    )
    pytester.makepyfile(test_capitals=SUITE, test_plain=PLAIN)
    return pytester


def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without a key, on which no provider is to be reached."""
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("ASKONCE_TEST_ROUTES", json.dumps({"api.openai.com:443": free_port()}))


def run(suite: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return suite.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


def prompts(cassette: Path) -> list[str]:
    return [json.loads(line)["prompt"] for line in cassette.read_text("utf-8").splitlines()[1:]]


def capitals(*countries: str) -> list[str]:
    return [f"What is the capital of {country}?" for country in countries]


def test_the_example_of_the_docs_is_recorded_and_runs_strictly_elsewhere(
    suite: pytest.Pytester, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, strict = COMMANDS
    run(suite, *record).assert_outcomes(passed=4)
    cassette = suite.path / "cassettes" / "test_capitals.jsonl"
    assert prompts(cassette) == capitals("France", "Germany", "Japan")
    assert b"sk-mine" not in cassette.read_bytes()
    assert provider.calls() == 3

    elsewhere(monkeypatch)
    before = cassette.read_bytes()
    told = run(suite, *strict, "--askonce-unused")
    told.assert_outcomes(passed=4)
    told.stdout.fnmatch_lines(["*every recorded answer was asked for*"])

    suite.makepyfile(test_capitals=SUITE.replace("Germany", "Spain"))
    told = run(suite, "--askonce-unused")
    told.assert_outcomes(passed=3, failed=1)
    text = told.stdout.str()
    assert "no answer to this call is recorded (openai-chat, gpt-4o-mini): no entry" in text
    assert "What is the capital of Spain?" in text and "it differs in: prompt" in text
    told.stdout.fnmatch_lines(
        ["cassettes/test_capitals.jsonl:3: no test asked for gpt-4o-mini: 'What is the capital of Germany?'"]
    )
    assert (provider.calls(), cassette.read_bytes()) == (3, before)


def test_a_cassette_for_each_test_from_two_workers(
    suite: pytest.Pytester, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = ("-n", "2", "-o", "askonce_cassettes=test")
    run(suite, *each, "--askonce-mode=record").assert_outcomes(passed=4)
    folder = suite.path / "cassettes" / "test_capitals"
    assert {file.stem: prompts(file) for file in folder.iterdir()} == {
        "test_france": capitals("France"),
        "test_stream": capitals("Germany"),
        "test_async": capitals("Japan"),
    }
    elsewhere(monkeypatch)
    told = run(suite, *each, "--askonce-unused", "--deselect", "test_capitals.py::test_france")
    told.assert_outcomes(passed=3)
    told.stdout.fnmatch_lines(["cassettes/test_capitals/test_france.jsonl:2: no test asked for *France*"])
    assert provider.calls() == 3


def test_two_workers_record_in_one_cassette(suite: pytest.Pytester, provider: Provider) -> None:
    run(suite, "-n", "2", "--dist", "load", "--askonce-mode=replay").assert_outcomes(passed=4)
    assert prompts(suite.path / "cassettes" / "test_capitals.jsonl") == capitals("France", "Germany", "Japan")
    run(suite, "-n", "2", "--dist", "load", "--askonce-mode=replay").assert_outcomes(passed=4)
    assert provider.calls() == 3


def test_where_nothing_is_recorded_the_call_is_named(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere(monkeypatch)
    told = run(suite, "-k", "france")
    told.assert_outcomes(failed=1, deselected=3)
    assert "Nothing at all is recorded. It asked: 'What is the capital of France?'" in told.stdout.str()
    assert not (suite.path / "cassettes").exists()


def test_a_cassette_that_cannot_be_played_is_an_error_of_its_tests(suite: pytest.Pytester) -> None:
    (suite.path / "cassettes").mkdir()
    (suite.path / "cassettes" / "test_capitals.jsonl").write_text("{}\n")
    told = run(suite)
    told.assert_outcomes(passed=1, errors=3)
    told.stdout.fnmatch_lines(["*askonce: *test_capitals.jsonl:1: expected {*"])


def test_a_mistyped_setting_is_told(suite: pytest.Pytester) -> None:
    told = run(suite, "-o", "askonce_cassettes=each")
    told.stderr.fnmatch_lines(["ERROR: askonce_cassettes: expected one of module, test; got 'each'"])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_where_a_module_is_named_the_proxy_starts_before_any_conftest_is_read(suite: pytest.Pytester) -> None:
    suite.makeconftest(
        "from pathlib import Path\n"
        "children = [file.read_text() for file in Path('/proc/self/task').glob('*/children')]\n"
        "Path('children').write_text(' '.join(children))"
    )
    for named, started in (
        (["test_capitals.py"], 1),
        (["test_plain.py", "test_capitals.py::test_france"], 1),
        (["test_plain.py"], 0),
        (["test_capitals.py", "--collect-only"], 0),
        (["."], 0),
    ):
        run(suite, "-k", "plain", *named)
        assert len((suite.path / "children").read_text().split()) == started, named
    assert not Path(os.environ["ASKONCE_DATA"]).exists()


def test_without_a_marked_test_nothing_is_started_or_read(suite: pytest.Pytester) -> None:
    run(suite, "test_plain.py").assert_outcomes(passed=1)
    run(suite, "--collect-only").assert_outcomes()
    run(suite, "-k", "plain").assert_outcomes(passed=1, deselected=3)  # what began to start is ended
    assert not Path(os.environ["ASKONCE_DATA"]).exists()
    code = "import sys, pytest; before = {*sys.modules}; import askonce.testing.plugin; print({*sys.modules} - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name.strip("' ") for name in done.stdout.strip("{}\n").split(",")} <= {
        "askonce",
        "askonce.testing",
        "askonce.testing.plugin",
    }


REPEATS = """
import openai
import pytest

pytestmark = pytest.mark.askonce


def ask(question, **more):
    client = openai.OpenAI(max_retries=0)
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": question}], **more)


def test_twice():
    assert [ask("Who?").choices[0].message.content for _ in range(2)] == ["First.", "Second."]


def test_once():
    assert ask("Where?").choices[0].message.content == "Third."


def test_tries_again():
    with pytest.raises(openai.RateLimitError, match="slow down"):
        ask("When?")
    assert ask("When?").choices[0].message.content == "Fourth."


def test_fails():
    for _ in range(2):  # by itself the SDK leaves before it has read the first one's body
        with pytest.raises(openai.InternalServerError, match="broken"):
            ask("Why?", stream=True)
"""


def says(provider: Provider, what: str | int) -> None:
    """What its next answer is: a text, or an error's status."""
    if isinstance(what, int):
        body: dict[str, object] = {"error": {"message": {429: "slow down", 500: "broken"}[what]}}
    else:
        choice = {"index": 0, "message": {"role": "assistant", "content": what}, "finish_reason": "stop"}
        body = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    status = what if isinstance(what, int) else 200
    provider.script(json.dumps(body), status=status, headers={"content-type": "application/json"})


def test_repeated_calls_and_errors_are_played_as_they_were(
    suite: pytest.Pytester, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.makepyfile(test_capitals="", test_repeats=REPEATS)
    for said in ("First.", "Second.", "Third.", 429, "Fourth.", 500, 500):
        says(provider, said)
    run(suite, "--askonce-mode=record", "--askonce-errors").assert_outcomes(passed=5)
    cassette = suite.path / "cassettes" / "test_repeats.jsonl"
    assert prompts(cassette) == ["When?", "When?", "Where?", "Who?", "Who?", "Why?", "Why?"]
    assert provider.calls() == 7

    elsewhere(monkeypatch)
    before = cassette.read_bytes()
    told = run(suite, "--askonce-unused")
    told.assert_outcomes(passed=5)
    told.stdout.fnmatch_lines(["*every recorded answer was asked for*"])
    run(suite, "-k", "tries_again or fails").assert_outcomes(passed=2, deselected=3)
    assert (provider.calls(), cassette.read_bytes()) == (7, before)
