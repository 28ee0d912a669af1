import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

type Askonce = Callable[..., Any]
FRANCE = "What is the capital of France?"


def test_the_data_folder_is_listed_where_no_proxy_runs(askonce: Askonce, data: dict[str, str]) -> None:
    done = askonce("cache", "list")
    lines = done.out.splitlines()
    assert lines[0].split() == ["key", "asked", "model", "hits", "prompt"]
    assert {line.split()[0] for line in lines[1:4]} == set(data.values())
    assert lines[-1] == "3 of 3"
    assert (done.code, done.err) == (0, "")


def test_a_prompt_cannot_reach_the_terminal(askonce: Askonce, data: dict[str, str]) -> None:
    key = next(key for prompt, key in data.items() if "bold" in prompt)
    for arguments in (["list"], ["show", key], ["search", "red"]):
        out = askonce("cache", *arguments).out
        assert "\x1b" not in out
        # A prompt with a character that nobody sees is found by its words alone, and never by its meaning.
        assert ("[bold]red\N{REPLACEMENT CHARACTER}[31m" in out) is (arguments[0] != "search")


def test_filters_and_pages(askonce: Askonce, data: dict[str, str]) -> None:
    found = json.loads(askonce("cache", "list", "--model", "gpt-4o", "--prompt", "prime", "--json").out)
    assert (found["count"], found["keys"]) == (1, [data["Name a prime."]])
    page = json.loads(askonce("cache", "list", "--limit", "1", "--offset", "1", "--json").out)
    assert (page["count"], len(page["entries"])) == (3, 1)


def test_show_is_the_whole_answer(askonce: Askonce, data: dict[str, str]) -> None:
    out = askonce("cache", "show", data[FRANCE]).out
    assert f"user\n{FRANCE}\n" in out
    assert '"content": "Paris"' in out
    entry = json.loads(askonce("cache", "show", data[FRANCE], "--json").out)
    assert entry["answer"]["body"] == {"choices": [{"message": {"content": "Paris"}}]}


def test_search_finds_what_is_near(askonce: Askonce, data: dict[str, str]) -> None:
    found = json.loads(askonce("cache", "search", FRANCE, "--limit", "1", "--json").out)
    assert found["results"][0]["entry"]["key"] == data[FRANCE]
    assert askonce("cache", "search", FRANCE).out.splitlines()[1].split()[:2] == ["1.000", data[FRANCE]]


def test_delete_forgets(askonce: Askonce, data: dict[str, str]) -> None:
    assert askonce("cache", "delete", data[FRANCE], data["Name a prime."]).out == "deleted 2\n"
    assert json.loads(askonce("cache", "list", "--json").out)["count"] == 1
    again = askonce("cache", "delete", data[FRANCE])
    assert (again.code, again.err) == (1, "askonce: Entry not found\n")


def test_wrong_says_what_is_never_served_again(askonce: Askonce, data: dict[str, str]) -> None:
    said = askonce("cache", "wrong", data[FRANCE], "--prompt", "What is France's capital?")
    assert (said.code, said.out) == (0, "never served to that again\n")
    noted = json.loads(askonce("cache", "wrong", data[FRANCE], "--prompt", "What is France's capital?", "--json").out)
    assert (noted["right"], noted["learned"]) == (False, False)
    unknown = askonce("cache", "wrong", data[FRANCE])
    assert (unknown.code, unknown.err) == (1, "askonce: No hit on it is remembered: say the prompt\n")


def test_clear_asks_first(askonce: Askonce, data: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    refused = askonce("cache", "clear")
    assert refused.code == 1
    assert "forget 3 answers? [y/N]" in refused.err
    assert askonce("cache", "clear", "--model", "o3", "--yes").out == "deleted 1\n"
    assert json.loads(askonce("cache", "clear", "--yes", "--json").out)["deleted_count"] == 2


def test_the_running_proxy_is_asked(askonce: Askonce, running: Callable[..., str]) -> None:
    listen = running()
    found = json.loads(askonce("cache", "list", "--listen", listen, "--json").out)
    assert [entry["prompt"] for entry in found["entries"]] == [FRANCE]
    (key,) = found["keys"]
    assert askonce("cache", "delete", key, "--listen", listen).out == "deleted 1\n"
    assert askonce("cache", "show", key, "--listen", listen).err == "askonce: Entry not found\n"


def test_the_token_opens_the_api(
    askonce: Askonce, running: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listen = running("sesame")
    expected = "askonce: the proxy asks for its token: set ASKONCE_TOKEN to the one it was started with\n"
    assert askonce("cache", "list", "--listen", listen).err == expected
    monkeypatch.setenv("ASKONCE_TOKEN", "wrong")
    assert askonce("stats", "--listen", listen).err == expected
    monkeypatch.setenv("ASKONCE_TOKEN", "sesame")
    assert askonce("cache", "list", "--listen", listen).out.endswith("\n1 of 1\n")
    assert askonce("stats", "--listen", listen).code == 0


def test_an_export_is_imported_again(askonce: Askonce, data: dict[str, str], tmp_path: Path) -> None:
    printed = askonce("cache", "export").out
    file = tmp_path / "answers.jsonl"
    done = askonce("cache", "export", file)
    assert (done.out, done.err, file.read_text()) == ("", f"3 answers in {file}\n", printed)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600

    askonce("cache", "clear", "--yes")
    assert askonce("cache", "import", file).out == "imported 3, skipped 0\n"
    assert json.loads(askonce("cache", "import", file, "--json").out) == {"imported": 0, "skipped": 3}
    assert set(json.loads(askonce("cache", "list", "--json").out)["keys"]) == set(data.values())


def test_large_files_go_in_parts(
    askonce: Askonce, data: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("askonce.cli.transfer._BATCH", 1)
    monkeypatch.setattr("askonce.api.transfer._PAGE_BYTES", 1)
    file = tmp_path / "answers.jsonl"
    askonce("cache", "export", file)
    assert len(file.read_text().splitlines()) == 4
    askonce("cache", "clear", "--yes")
    assert askonce("cache", "import", file).out == "imported 3, skipped 0\n"


def test_what_cannot_be_imported_is_said(askonce: Askonce, data: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text("")
    done = askonce("cache", "import", file)
    assert (done.code, done.err[:18]) == (1, "askonce: line 1: e")
    assert askonce("cache", "import", tmp_path / "none").code == 2
    nowhere = tmp_path / "no" / "where"
    assert askonce("cache", "export", nowhere).err == f"askonce: {nowhere}: No such file or directory\n"


def test_why_compares_entries(askonce: Askonce, data: dict[str, str]) -> None:
    done = askonce("cache", "why", data["Name a prime."])
    assert done.out.splitlines() == [
        "      why  the nearest stored call differs in prompt",
        "   prompt  Name a prime.",
        f"  nearest  {data[FRANCE]}  openai-chat gpt-4o",
        f"           {FRANCE}",
        "  differs  prompt",
        f"           - {FRANCE}",
        "           + Name a prime.",
    ]
    other = next(key for prompt, key in data.items() if "bold" in prompt)
    found = json.loads(askonce("cache", "why", data[FRANCE], other, "--json").out)
    assert [difference["part"] for difference in found["differs"]] == ["model", "prompt"]
    assert "\x1b" not in askonce("cache", "why", data[FRANCE], other).out
    assert askonce("cache", "why").err == "askonce: There were 0 calls since the start; name a key or a prompt\n"


def test_why_tells_of_the_last_call_of_a_running_proxy(askonce: Askonce, running: Callable[..., str]) -> None:
    lines = askonce("cache", "why", "--listen", running()).out.splitlines()
    assert lines[0] == "      why  answered: the same call was asked before"
    assert lines[1].startswith("     call  -  ") and lines[1].endswith("openai-chat gpt-4o 200")


def test_warm_keeps_pairs_beside_a_stored_call(askonce: Askonce, data: dict[str, str], tmp_path: Path) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Lima."}, "finish_reason": "stop"}
    final = {"id": "chatcmpl-1", "object": "chat.completion", "model": "gpt-4o", "choices": [choice]}
    pairs = [{"prompt": "What is the capital of Peru?", "response": final}, {"prompt": "Nothing?", "response": {}}]
    file = tmp_path / "pairs.jsonl"
    file.write_text("\n\n".join(map(json.dumps, pairs)))
    done = askonce("cache", "warm", file, "--like", data[FRANCE])
    assert (done.code, done.out) == (1, "warmed 1, failed 1\n")
    assert done.err.startswith(f"{file}:3: ")
    (kept,) = json.loads(askonce("cache", "list", "--prompt", "Peru", "--json").out)["entries"]
    assert (kept["model"], kept["upstream"], kept["namespace"]) == ("gpt-4o", "openai-chat", "")

    assert askonce("cache", "warm", file, "--like", "none").err == "askonce: The entry to be like is not there\n"
    file.write_text('{"prompt": "a"}\n')
    assert "entries[0].response: is required" in askonce("cache", "warm", file, "--like", data[FRANCE]).err
    file.write_text("{\n")
    broken = askonce("cache", "warm", file, "--like", data[FRANCE])
    assert (broken.code, broken.err[:40]) == (2, f"askonce: {file}:1: expected"[:40])
