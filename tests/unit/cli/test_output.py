import pytest

from askonce.cli.output import results, table


def test_nothing_is_cut_off_where_no_person_looks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    long = "What is the capital of France? " * 20
    monkeypatch.delenv("COLUMNS", raising=False)
    results().print(table(("prompt",), [(long,)]))
    assert long.strip() in capsys.readouterr().out
    monkeypatch.setenv("COLUMNS", "80")
    results().print(table(("prompt",), [(long,)]))
    assert "…" in capsys.readouterr().out
