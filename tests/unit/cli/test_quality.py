"""`eval` and `tune` over the embedder and the judge that ship."""

import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from askonce.rules import Document

type Askonce = Callable[..., Any]

SHARES = ("recall", "false_reuse", "wrong_share", "coverage_at_1", "coverage_at_5")
UPSTREAMS = "version: 1\nupstreams: [{name: x, hosts: [h.example], paths: [/v1], wire: generic, prompt: $.q}]\n"

PAIRS = [
    ("What is the capital of France?", "what is the capital of france", 1, "same"),
    ("How do I sort a list in Python?", "Hello! How do I sort a list in Python? Thanks!", 1, "same"),
    ("How many miles are 5 km?", "How many miles are 7 km?", 0, "numbers"),
    ("Should I buy gold?", "Should I sell gold?", 0, "opposites"),
    ("Convert 10 miles to km", "Convert 10 km to miles", 0, "opposites"),
    ("What is a monad?", "Which wine goes with fish?", 0, "other"),
]
STREAM = [
    ("What is the capital of France?", "Paris"),
    ("what is the capital of france", "Paris"),
    ("What's the capital of France?", "Paris"),
    ("Convert 10 miles to km", "16.1"),
    ("Convert 10 km to miles", "6.2"),
    ("Convert 10 miles to km, please", "16.1"),
]


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl.gz"
    rows = [{"a": a, "b": b, "label": label, "cat": category} for a, b, label, category in PAIRS]
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    return path


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    path = tmp_path / "stream.jsonl"
    path.write_text("\n".join(json.dumps({"text": text, "cls": answer}) for text, answer in STREAM))
    return path


def test_pairs_as_json(askonce: Askonce, pairs: Path) -> None:
    done = askonce("eval", "pairs", pairs, "--json")
    assert (done.code, done.err) == (0, "")
    report = json.loads(done.out)
    assert (report["pairs"], report["served"], report["max_error"], report["embedder"]) == (6, 2, 0.02, "wordllama")
    assert [report[name] for name in SHARES] == [1.0, 0.0, 0.0, 1 / 3, 1 / 3]
    assert 0 < report["us_per_decision"] < 1e6
    assert list(report["categories"]) == ["numbers", "opposites", "other", "same"]
    assert report["categories"]["opposites"]["false_reuse"] == 0.0
    assert report["categories"]["opposites"]["recall"] is None
    assert list(report["baselines"]) == ["cosine 0.7", "cosine 0.8", "cosine 0.92"]
    for baseline in report["baselines"].values():
        assert set(baseline) == {"pairs", "served", *SHARES, "us_per_decision", "categories"}
        assert set(baseline) < set(report)
        assert set(baseline["categories"]) == set(report["categories"])
    # The words of both directions are the same, and so is their mean.
    assert report["baselines"]["cosine 0.92"]["categories"]["opposites"]["false_reuse"] == 0.5


def test_pairs_as_a_table(askonce: Askonce, pairs: Path) -> None:
    lines = askonce("eval", "pairs", pairs, "--max-error", "0.05").out.splitlines()
    assert lines[0] == "6 pairs, embedder wordllama"
    assert lines[2].split() == ["served", "recall", "false", "wrong", "at", "1", "%", "at", "5", "%", "µs"]
    assert lines[3].startswith("askonce, max_error 0.05   33.3%  100.0%")
    assert [line.split()[:2] for line in lines[4:7]] == [["cosine", threshold] for threshold in ("0.7", "0.8", "0.92")]
    assert [line.split()[0] for line in lines[9:13]] == ["numbers", "opposites", "other", "same"]
    assert lines[14].startswith("not to be given again: none; 6 pairs judged: recall 100.0%")
    assert lines[16].startswith("not served because of: ")


def test_progress_is_for_terminals_and_never_on_stdout(
    askonce: Askonce, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # stderr is taken for a terminal
    done = askonce("eval", "pairs", pairs, "--json")
    assert json.loads(done.out)["pairs"] == 6
    for phase in ("embedding", "remembering", "deciding"):
        assert phase in done.err


def test_the_rules_say_what_is_measured(askonce: Askonce, pairs: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(UPSTREAMS + "defaults: {max_error: 0.003}\n")
    assert json.loads(askonce("eval", "pairs", pairs, "--json").out)["max_error"] == 0.003


def test_another_embedder_stands_beside(askonce: Askonce, pairs: Path) -> None:
    found = json.loads(askonce("eval", "pairs", pairs, "--json", "--embedder", "wordllama").out)["baselines"]
    assert list(found)[3:] == ["wordllama cosine 0.7", "wordllama cosine 0.8", "wordllama cosine 0.92"]
    assert found["wordllama cosine 0.8"]["recall"] == found["cosine 0.8"]["recall"]


def test_a_plot(askonce: Askonce, pairs: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    done = askonce("eval", "pairs", pairs, "--json", "--plot", "plot.png")
    assert (done.code, done.err) == (0, "")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG\r\n")
    done = askonce("eval", "pairs", pairs, "--plot", "plot.doc")
    assert done.code == 2
    assert done.err.startswith("askonce: --plot: expected a name that ends in one of ")


def test_a_plot_without_matplotlib_is_refused_at_once(
    askonce: Askonce, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    done = askonce("eval", "pairs", pairs, "--plot", "plot.png")
    message = 'askonce: --plot needs matplotlib: pip install "askonce[plot]"\n'
    assert (done.code, done.out, done.err) == (2, "", message)


def test_a_stream_as_json(askonce: Askonce, stream: Path) -> None:
    done = askonce("eval", "stream", stream, "--json", "--seed", "3", "--seed", "4", "--max-error", "0.05")
    assert (done.code, done.err) == (0, "")
    report = json.loads(done.out)
    assert (report["queries"], report["classes"]) == (6, 3)
    assert [(run["seed"], run["max_error"]) for run in report["runs"]] == [(3, 0.05), (4, 0.05)]
    for run in report["runs"]:
        assert (run["exact"], run["hits"], run["wrong"], run["wrong_share"]) == (0, 3, 0, 0.0)
        assert run["hit_share"] == 0.5
        assert {"threshold", "hits", "wrong", "wrong_share", "hit_share"} < set(run["baselines"]["best static"])


def test_a_stream_as_a_table(askonce: Askonce, stream: Path) -> None:
    lines = askonce("eval", "stream", stream).out.splitlines()
    assert lines[0] == "6 questions, 3 answers, embedder wordllama"
    assert [line.split()[:3] for line in lines[3::2]] == [["0", bound, "askonce"] for bound in ("0.01", "0.02", "0.05")]
    assert [line.split()[2:4] for line in lines[4::2]] == [["best", "cosine:"]] * 3


def test_kinds_of_prompts_as_a_table_and_as_json(askonce: Askonce, tmp_path: Path) -> None:
    rows = [{"text": PAIRS[0][0], "kind": "lasting"}, {"text": "Where is my parcel?", "kind": "state"}]
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    lines = askonce("eval", "reuse", "prompts.jsonl").out.splitlines()
    assert lines[0] == "2 prompts"
    assert lines[-1] == "lasting called otherwise: 0.0%; others called lasting: 0.0%"
    assert json.loads(askonce("eval", "reuse", "prompts.jsonl", "--json").out)["called"]["state"]["state"] == 1


def test_tune_prints_lines_for_the_rules(askonce: Askonce, tmp_path: Path) -> None:
    rows = [{"a": f"Tell me about topic {n}", "b": f"tell me about topic {n}, please", "label": 1} for n in range(200)]
    (tmp_path / "own.jsonl").write_text("\n".join(map(json.dumps, rows)))
    done = askonce("tune", "own.jsonl", "--target", "0.1")
    assert (done.code, done.err) == (0, "")
    lines = done.out.split("for rules.yaml:\n\n")[1]
    assert "0 wrong of " in done.out
    found = json.loads(askonce("tune", "own.jsonl", "--target", "0.1", "--json").out)
    assert Document.parse(UPSTREAMS + lines, environ={}).defaults.max_error == found["chosen"]["max_error"]
    assert (found["rules"], found["holds"], found["is_shown"]) == (lines, True, True)


def test_tune_promises_nothing_on_few(askonce: Askonce, pairs: Path) -> None:
    done = askonce("tune", pairs)
    assert done.code == 1
    assert "no value can be shown to keep wrong answers within 2.00% with 95% confidence" in done.out
    assert done.out.endswith("defaults:\n  match: exact\n")


def test_tune_live_asks_the_running_proxy(askonce: Askonce, running: Callable[..., str]) -> None:
    listen = running()
    assert askonce("tune", "--live", "--listen", listen).out.startswith("nothing was seen yet")
    found = json.loads(askonce("tune", "--live", "--json", "--confidence", "0.9", "--listen", listen).out)
    assert found == {"confidence": 0.9, "rules": []}


@pytest.mark.parametrize("arguments", [[], ["--live", "pairs.jsonl.gz"]])
def test_tune_wants_a_file_or_the_running_proxy(askonce: Askonce, pairs: Path, arguments: list[str]) -> None:
    done = askonce("tune", *arguments)
    assert (done.code, done.out) == (2, "")
    assert "expected a file, or --live" in done.err


@pytest.mark.parametrize("command", [["eval", "pairs"], ["tune"]])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": "x", "b": "y", "label": 1}\n{"a": "x"', "2: expected a JSON object: "),
        ('{"a": "x", "b": "y", "label": 0.5}', '1: expected "label" to be 0 or 1; got 0.5\n'),
        ("", "1: expected pairs, one JSON object a line; the file is empty\n"),
    ],
)
def test_a_bad_file_is_one_line(
    askonce: Askonce, tmp_path: Path, command: list[str], content: str, message: str
) -> None:
    (tmp_path / "bad.jsonl").write_text(content)
    done = askonce(*command, "bad.jsonl")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"askonce: bad.jsonl:{message}")
    assert done.err.count("\n") == 1


def test_an_embedder_that_does_not_exist(askonce: Askonce, pairs: Path) -> None:
    done = askonce("eval", "pairs", pairs, "--embedder", "word2vec")
    assert (done.code, done.err) == (
        2,
        'askonce: unknown embedder "word2vec"; there are: wordllama, openai:<model>@<base_url>\n',
    )


def test_a_judge_that_cannot_be_had(askonce: Askonce, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    rules = pairs.with_name("deep.yaml")
    rules.write_text("version: 1\nupstreams: [{name: a, hosts: [a.test], paths: [/v1], wire: generic}]\njudge: deep\n")
    done = askonce("eval", "pairs", pairs, "--rules", rules)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("askonce: judge: deep is not installed") and done.err.count("\n") == 1
