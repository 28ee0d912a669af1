"""The gateway's own API keys: who may use the operator's provider keys, and who may manage.

One rule: a key is shown once, when it is made. What is kept is its SHA-256, in a file that only its owner can read;
256 random bits need neither salt nor a slow hash.
"""

import fcntl
import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from askonce.credentials import is_secret
from askonce.files import make_folder
from askonce.jsontext import rfc3339

__all__ = ["ApiKey", "ApiKeyError", "ApiKeys"]

_FILE = "gateway-keys.json"
_VERSION = 1
_SHOWN = 4


class ApiKeyError(ValueError):
    """What was asked of the keys cannot be done, or their file cannot be used; the message says what."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is known of a key."""

    id: str
    """The beginning of its hash."""
    owner: str
    hash: str
    """SHA-256, 64 hex digits."""
    hint: str
    """`sk-…` and its last four characters, to tell keys apart."""
    admin: bool
    created: str
    """RFC 3339, UTC."""
    revoked: str = ""
    """RFC 3339; empty while it is good. Revoked keys stay known, so that none is taken for a provider's key."""


class ApiKeys:
    """The keys of one data folder. Notices what other processes change. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / _FILE
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._keys: tuple[ApiKey, ...] = ()

    def all(self) -> tuple[ApiKey, ...]:
        """Every key, revoked ones too, oldest first. Raises `ApiKeyError` where the file cannot be used."""
        try:
            state = self.path.stat()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise ApiKeyError(f"{self.path}: cannot be read: {error.strerror}") from error
        # The file is always replaced, so a change shows in its inode if not in its time.
        seen = (state.st_mtime_ns, state.st_ino, state.st_size)
        with self._lock:
            if seen != self._seen:
                self._keys, self._seen = self._read(), seen
            return self._keys

    def find(self, secret: str) -> ApiKey | None:
        """The key that `secret` is, revoked or not. Takes as long for a wrong one as for any other."""
        given = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
        found = None
        for key in self.all():
            if is_secret(given, key.hash):
                found = key
        return found

    def is_good(self, secret: str) -> bool:
        """Whether `secret` is a key that is not revoked."""
        key = self.find(secret)
        return key is not None and not key.revoked

    def create(self, owner: str, *, admin: bool = False) -> tuple[str, ApiKey]:
        """Make a key; the first of the two is the secret, which is nowhere kept."""
        if not owner.strip() or not owner.isprintable() or len(owner) > 100:
            raise ApiKeyError(f"the owner must be a name of 1 to 100 printable characters; got {owner!r}")
        secret = "sk-" + secrets.token_urlsafe(32)
        digest = hashlib.sha256(secret.encode()).hexdigest()
        key = ApiKey(digest[:12], owner.strip(), digest, f"sk-…{secret[-_SHOWN:]}", admin, _now())
        with self._changing() as keys:
            keys.append(key)
        return secret, key

    def revoke(self, which: str) -> ApiKey:
        """Make the key with this id worth nothing from the next request on. Raises `ApiKeyError`."""
        with self._changing() as keys:
            at = next((at for at, key in enumerate(keys) if which and key.id == which), None)
            if at is None:
                raise ApiKeyError(f"there is no key with the id {which!r}; `askonce keys list` shows them")
            if not keys[at].revoked:
                keys[at] = replace(keys[at], revoked=_now())
            return keys[at]

    @contextmanager
    def _changing(self) -> Iterator[list[ApiKey]]:
        """The keys, to be changed; written when the block ends well."""
        try:
            make_folder(self.path.parent)
            with self._opened(self.path.with_suffix(".lock")) as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                keys = [*self.all()]
                yield keys
                self._write(keys)
        except OSError as error:
            raise ApiKeyError(f"{self.path}: cannot be written: {error.strerror}") from error

    def _write(self, keys: list[ApiKey]) -> None:
        fresh = self.path.with_name(f"{self.path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            with self._opened(fresh) as file:
                json.dump({"version": _VERSION, "keys": [asdict(key) for key in keys]}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self.path)
        finally:
            fresh.unlink(missing_ok=True)

    @staticmethod
    def _opened(path: Path) -> Any:
        return os.fdopen(os.open(path, os.O_CREAT | os.O_RDWR, 0o600), "w", encoding="utf-8")

    def _read(self) -> tuple[ApiKey, ...]:
        try:
            value = json.loads(self.path.read_bytes())
            if value["version"] != _VERSION:
                raise ApiKeyError(f"{self.path}: version {value['version']}, expected {_VERSION}")
            return tuple(ApiKey(**key) for key in value["keys"])
        except OSError as error:
            raise ApiKeyError(f"{self.path}: cannot be read: {error.strerror}") from error
        except (ValueError, LookupError, TypeError) as error:
            if isinstance(error, ApiKeyError):
                raise
            raise ApiKeyError(f"{self.path}: not a file of keys: {type(error).__name__}: {error}") from error


def _now() -> str:
    return rfc3339(time.time())
