"""Settings files for programs that read no variable for what they trust: GNU wget and PHP.

One rule: what the user has in such a file holds as before; ours adds one setting to it.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from askonce.files import write_whole

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
        ending = b"" if text[-1:] in (b"", b"\n") else b"\n"
        # A user's own may hold passwords.
        write_whole(ours, text + ending + f"ca_certificate = {bundle}\n".encode(), mode=0o600)
    return ours


def _php_folder(bundle: Path) -> Path:
    folder = bundle.parent / "php"
    folder.mkdir(mode=0o700, exist_ok=True)
    # Read last of all folders, and so what holds.
    settings = f'curl.cainfo = "{bundle}"\nopenssl.cafile = "{bundle}"\n'
    write_whole(folder / "askonce.ini", settings.encode(), mode=0o600)
    return folder


def _php_folders(held: str, ours: Path) -> str:
    """The folders that PHP reads, ours the last. An empty name stands for those it was built with (its manual, "The
    configuration file"), which it reads where the variable is not set."""
    others = [folder for folder in held.split(os.pathsep) if folder != str(ours)]
    return os.pathsep.join([*others, str(ours)])
