"""Settings files for programs that read no variable for what they trust: GNU wget and PHP.

One rule: what the user has in such a file holds as before; ours adds one setting to it.
"""

import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["client_files"]


def client_files(bundle: Path, base: Mapping[str, str]) -> dict[str, str]:
    """Write the files beside `bundle`, the roots to trust, and return the variables on top of `base` that name them.

    Raises OSError.
    """
    return {
        "WGETRC": str(_wgetrc(bundle, base)),
        "PHP_INI_SCAN_DIR": _php_folders(base.get("PHP_INI_SCAN_DIR", ""), _php_folder(bundle)),
    }


def _wgetrc(bundle: Path, base: Mapping[str, str]) -> Path:
    """The user's own file and the roots: wget reads one file, and knows no way to name another in it
    (its manual, "Wgetrc Location")."""
    ours = bundle.parent / "wgetrc"
    theirs = Path(base.get("WGETRC") or Path(base.get("HOME", "/")) / ".wgetrc")
    if theirs != ours:  # `askonce exec` below `askonce exec`
        try:
            text = theirs.read_bytes()
        except OSError:
            text = b""
        _write(ours, text + b"\n" * (text[-1:] not in (b"", b"\n")) + f"ca_certificate = {bundle}\n".encode())
    return ours


def _php_folder(bundle: Path) -> Path:
    folder = bundle.parent / "php"
    folder.mkdir(mode=0o700, exist_ok=True)
    # Read last of all folders, and so what holds.
    _write(folder / "askonce.ini", f'curl.cainfo = "{bundle}"\nopenssl.cafile = "{bundle}"\n'.encode())
    return folder


def _php_folders(held: str, ours: Path) -> str:
    """The folders that PHP reads, ours the last. An empty name stands for those it was built with (its manual, "The
    configuration file"), which it reads where the variable is not set."""
    others = [folder for folder in held.split(os.pathsep) if folder != str(ours)]
    return os.pathsep.join([*others, str(ours)])


def _write(file: Path, content: bytes) -> None:
    """Replace a file as a whole: programs that run may be reading it, and a wgetrc may hold passwords."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as new:
        new.write(content)
    part.replace(file)
