"""What must be equal before an answer may be reused, as keyed hashes.

The one rule here: a credential enters as text and leaves only as a digest under this installation's own secret, so
that nothing stored or shown can be turned back into it, or tried against a list of guesses.
"""

import contextlib
import functools
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from askonce import jsontext
from askonce.call import Call

__all__ = ["REPEAT", "Identifier", "Identity", "load_secret", "replace_secret"]

REPEAT = "repeat"
"""The part that tells apart the times that a call is asked."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The two keys of a call, and the digests by part that tell why two calls are not in one partition."""

    partition: bytes
    """16 bytes over everything but the prompt. Only calls of one partition may share answers."""
    exact: bytes
    """16 bytes over the partition and the prompt's text."""
    parts: Mapping[str, str]
    """Part -> 16 hex digits. Names: credential, namespace, host, wire; headers, where some choose the answer; depends,
    where it is said what the answer depends on; repeat, which time it is that a cassette's call is asked, from the
    second on; and those of `call.PARTS` that are present."""

    @property
    def key(self) -> str:
        """`exact` in hex: the name of the entry that would answer this call."""
        return self.exact.hex()

    @property
    def tenant(self) -> str:
        """32 hex digits: who asks (half of them), in which namespace. What one of them does must not change what
        another is served."""
        return tenant(self.parts)


def tenant(parts: Mapping[str, str]) -> str:
    """Whose calls have these parts; see `Identity.tenant`."""
    return parts["credential"] + parts["namespace"]


class Identifier:
    """Names calls under one installation's secret. Stateless apart from it, thread-safe."""

    def __init__(self, secret: bytes) -> None:
        """`secret`: 16 to 64 bytes, the same for as long as the store lives."""
        if not 16 <= len(secret) <= 64:
            raise ValueError(f"the secret has {len(secret)} bytes, expected 16 to 64")
        self._secret = secret
        # The few texts that most calls share; a credential is not held.
        self._common = functools.lru_cache(maxsize=256)(lambda text: self._digest(_text(text)))

    def identify(
        self,
        call: Call,
        *,
        host: str,
        scope: str,
        namespace: str = "",
        headers: Mapping[str, str] | None = None,
        depends: Mapping[str, str] | None = None,
    ) -> Identity:
        """The identity of `call` sent to `host`: whoever answers there, and the path and query as far as they count.

        `scope` says who may share the answer (see `credentials.credential`); only its keyed hash leaves this function.
        `headers` are those of the request that choose the answer; `depends` are the tags of what it depends on, and
        their versions.
        """
        digests = {
            "credential": self._digest(_text(scope)),
            "host": self._common(host),
            "namespace": self._common(namespace),
            "wire": self._common(call.wire),
        }
        if headers:
            digests["headers"] = self._digest(_canonical(headers))
        if depends:
            digests["depends"] = self._digest(_canonical(depends))
        for name, value in call.parts.items():
            digests[name] = self._digest(_canonical(value))
        whole = b"".join([name.encode() + b"\0" + digests[name] for name in sorted(digests)])
        partition = self._digest(whole)
        return Identity(
            partition=partition,
            exact=self.exact(partition, call.prompt),
            parts={name: digest[:8].hex() for name, digest in digests.items()},
        )

    def identify_each(
        self,
        calls: Iterable[Call],
        *,
        host: str,
        scope: str,
        namespace: str = "",
        headers: Mapping[str, str] | None = None,
        depends: Mapping[str, str] | None = None,
    ) -> list[Identity]:
        """The identity of each call; quick where they share their parts, as the texts of a batch do."""
        found = list[Identity]()
        parts: object = None
        for call in calls:
            if call.parts is parts:
                one = found[-1]
                found.append(replace(one, exact=self.exact(one.partition, call.prompt)))
            else:
                found.append(
                    self.identify(call, host=host, scope=scope, namespace=namespace, headers=headers, depends=depends)
                )
            parts = call.parts
        return found

    def repeated(self, identity: Identity, prompt: str, number: int) -> Identity:
        """Of the same call, asked for the `number`th time: a partition of its own."""
        partition = self._digest(identity.partition + REPEAT.encode() + b"\0%d" % number)
        return Identity(partition, self.exact(partition, prompt), {**identity.parts, REPEAT: f"{number:016x}"})

    def exact(self, partition: bytes, prompt: str) -> bytes:
        """The exact key of a prompt in a partition."""
        return self._digest(partition + _text(prompt))

    @property
    def fingerprint(self) -> str:
        """16 hex digits that tell one secret from another and say nothing about it."""
        return self._digest(b"fingerprint")[:8].hex()

    def _digest(self, data: bytes) -> bytes:
        return blake2b(data, digest_size=16, key=self._secret).digest()


def _text(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _canonical(value: Any) -> bytes:
    try:
        return jsontext.canonical(value)
    except TypeError:  # integers over 64 bits, lone surrogates, very deep nesting: not from `jsontext.loads`
        return b"json\0" + json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def replace_secret(path: Path, secret: bytes) -> None:
    """Have `load_secret` give these bytes from now on. Raises OSError."""
    path.unlink(missing_ok=True)
    _write_secret(path, secret)


def load_secret(path: Path) -> bytes:
    """The installation's 32 bytes at `path`, made on the first call (mode 0600); every caller gets the same bytes.

    Raises ValueError where the file is not 32 bytes long, OSError where it can be neither read nor made.
    """
    try:
        secret = path.read_bytes()
    except FileNotFoundError:
        fresh = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        try:
            _write_secret(fresh, secrets.token_bytes(32))
            with contextlib.suppress(FileExistsError):
                os.link(fresh, path)  # unlike a rename, this cannot replace what another process has just made
        finally:
            fresh.unlink(missing_ok=True)
        secret = path.read_bytes()
    if len(secret) != 32:
        raise ValueError(f"{path}: {len(secret)} bytes, expected 32; move it away to start with a new one")
    return secret


def _write_secret(path: Path, secret: bytes) -> None:
    """Make the file, for its owner alone; on disk once this returns. Raises OSError, also where there is one."""
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
