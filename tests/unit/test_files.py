import stat
from pathlib import Path

from askonce.files import make_folder


def test_a_fresh_folder_is_private_and_left_out_of_git(tmp_path: Path) -> None:
    folder = tmp_path / "project" / "certs"
    make_folder(folder)
    make_folder(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    ignore = folder / ".gitignore"
    assert ignore.read_text() == "*\n"
    assert stat.S_IMODE(ignore.stat().st_mode) == 0o600


def test_a_folder_in_use_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    make_folder(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["README.md"]
