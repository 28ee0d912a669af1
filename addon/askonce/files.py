"""Files and folders of our own: written whole or not at all, and never committed by mistake."""

import os
import tempfile
from pathlib import Path

__all__ = ["make_folder", "write_whole"]


def make_folder(folder: Path) -> None:
    """Make a folder that nobody else may read, if it is not there. Raises `OSError`.

    An empty one is left out of git, as it may stand in somebody's project: what comes into it are keys and answers.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not any(folder.iterdir()):
        write_whole(folder / ".gitignore", b"*\n", mode=0o600)


def write_whole(file: Path, content: bytes, mode: int = 0o644) -> bool:
    """Replace a file as a whole, unless it says the same already. Returns whether it did."""
    try:
        same = file.read_bytes() == content
    except FileNotFoundError:
        same = False
    if same:
        if file.stat().st_mode & 0o777 & ~mode:
            file.chmod(mode)
        return False
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as new:
            new.write(content)
            new.flush()
            os.fchmod(new.fileno(), mode)
            os.fsync(new.fileno())
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return True
