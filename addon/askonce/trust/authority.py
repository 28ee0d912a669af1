"""The local certificate authority, and the files that make programs trust it.

One rule: the authority can vouch for the rules' hosts and for nothing else. Its certificate says so itself, in a
critical name constraint (RFC 5280, section 4.2.1.10), so a stolen key opens no other host.
"""

import fcntl
import ipaddress
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from askonce.files import make_folder, write_whole
from askonce.trust.roots import certificates, known_roots, pem, truststore

__all__ = [
    "RESERVED_HOST",
    "CaInfo",
    "DeniedError",
    "Trust",
    "TrustError",
    "ca_info",
    "ensure_ca",
    "load_ca",
    "upstream_bundle",
]

RESERVED_HOST = "askonce.internal"
"""Its name is on no public network; e-mail and URI names are confined to it, which is to say forbidden."""

_SUBJECT = x509.Name(
    [x509.NameAttribute(NameOID.COMMON_NAME, "Askonce CA"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Askonce")]
)
_VALID = timedelta(days=730)
_RENEW_BEFORE = timedelta(days=90)
_BACKDATED = timedelta(days=2)  # for clients whose clock is slow; mitmproxy does the same to leaves

# The group ffdhe2048 of RFC 7919, appendix A.1. mitmproxy would write parameters of its own, but not atomically.
_DH_PARAMETERS = b"""\
-----BEGIN DH PARAMETERS-----
MIIBCAKCAQEA//////////+t+FRYortKmq/cViAnPTzx2LnFg84tNpWp4TZBFGQz
+8yTnc4kmz75fS/jY2MMddj2gbICrsRhetPfHtXV/WVhJDP1H18GbtCFY2VVPe0a
87VXE15/V8k1mE8McODmi3fipona8+/och3xWKE2rec1MKzKT0g6eXq8CrGCsyT7
YdEIqUuyyOP7uWrat2DX9GgdT0Kj3jlN9K5W7edjcrsZCwenyO4KbXCeAvzhzffi
7MA0BM0oNC9hkXL+nOmFg/+OTxIy7vKBg8P+OxtMb61zO7X8vC7CIAXFjvGDfRaD
ssbzSibBsu/6iGtCOGEoXJf//////////wIBAg==
-----END DH PARAMETERS-----
"""


class TrustError(ValueError):
    """The certificates cannot be made or used; the message says which file, and what to do."""


class DeniedError(TrustError):
    """The system does not let a file or folder be used, whatever is in it."""


@dataclass(frozen=True, slots=True)
class Trust:
    """The files of one certificate authority."""

    directory: Path
    """mitmproxy's `confdir`."""
    ca_cert: Path
    """Our certificate alone, PEM."""
    bundle: Path
    """Our certificate, certifi's roots, the system's, and those that the environment named; PEM."""
    truststore: Path
    """The bundle as PKCS #12, for Java; its password is `roots.TRUSTSTORE_PASSWORD`."""
    renewed: bool
    """Whether the certificate is new; mitmproxy has to read it again."""


@dataclass(frozen=True, slots=True)
class CaInfo:
    """What the certificate says."""

    hosts: tuple[str, ...]
    fingerprint: str
    """SHA-256, upper-case hexadecimal, as `openssl x509 -fingerprint -sha256` prints it."""
    not_before: datetime
    not_after: datetime


def ensure_ca(directory: Path, hosts: Iterable[str], environ: Mapping[str, str] = os.environ) -> Trust:
    """Make, renew or confirm the authority for `hosts` (names, `*.` patterns or IP addresses) in `directory`.

    The key stays the same when the certificate is renewed, so programs that trust the older one go on working for the
    hosts that it names. Raises `TrustError`.
    """
    constraints = _constraints(hosts)
    try:
        with _locked(directory):
            return _ensure(directory, constraints, environ)
    except OSError as error:
        raise DeniedError(f"{error.filename or directory}: {error.strerror or error}") from error


def load_ca(directory: Path, environ: Mapping[str, str] = os.environ) -> Trust:
    """The authority that is in `directory`, as it is, with a bundle for `environ`. Raises `TrustError` without one."""
    file = directory / "mitmproxy-ca.pem"
    try:
        file.stat()
        with _locked(directory):
            key, certificate = _load(file)
            assert certificate
            return _lay_out(directory, key, certificate, environ, renewed=False)
    except FileNotFoundError:
        raise TrustError(f"{file}: there is none yet; `askonce serve` makes it") from None
    except OSError as error:
        raise DeniedError(f"{error.filename or directory}: {error.strerror or error}") from error


def ca_info(directory: Path) -> CaInfo:
    """Describe the authority in `directory`. Raises `TrustError` where there is none."""
    file = directory / "mitmproxy-ca-cert.pem"
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        permitted = certificate.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or ()
    except FileNotFoundError:
        raise TrustError(f"{file}: there is none yet; `askonce serve` makes it") from None
    except (OSError, ValueError, x509.ExtensionNotFound) as error:
        raise TrustError(f"{file}: not a certificate of Askonce: {error}") from error
    digest = certificate.fingerprint(hashes.SHA256()).hex().upper()
    return CaInfo(
        hosts=tuple(str(name.value) for name in permitted if isinstance(name, x509.DNSName | x509.IPAddress)),
        fingerprint=":".join(digest[i : i + 2] for i in range(0, len(digest), 2)),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def upstream_bundle(directory: Path, extra: Path | None) -> Path | None:
    """A file of certifi's roots and those in `extra`, to verify upstreams with; None where certifi's will do.

    Raises `TrustError`.
    """
    if extra is None:
        return None
    try:
        added = certificates(extra.read_bytes())
        if not added:
            raise TrustError(f"{extra}: expected certificates in PEM")
        roots = dict.fromkeys([*certificates(Path(certifi.where()).read_bytes()), *added])
        bundle = directory / "askonce-upstream.pem"
        with _locked(directory):
            write_whole(bundle, pem(roots))
    except OSError as error:
        raise DeniedError(f"{error.filename or extra}: {error.strerror or error}") from error
    return bundle


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Two first starts at once must end with one key."""
    make_folder(directory)
    if directory.stat().st_mode & 0o077:
        directory.chmod(0o700)
    with (directory / ".lock").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _ensure(directory: Path, constraints: x509.NameConstraints, environ: Mapping[str, str]) -> Trust:
    key, certificate = _load(directory / "mitmproxy-ca.pem")
    renewed = certificate is None or not _is_current(certificate, constraints)
    if certificate is None or renewed:
        certificate = _issue(key, constraints)
    return _lay_out(directory, key, certificate, environ, renewed)


def _lay_out(
    directory: Path,
    key: ec.EllipticCurvePrivateKey,
    certificate: x509.Certificate,
    environ: Mapping[str, str],
    renewed: bool,
) -> Trust:
    """Write what differs from what is there."""
    trust = Trust(
        directory=directory,
        ca_cert=directory / "mitmproxy-ca-cert.pem",
        bundle=directory / "askonce-bundle.pem",
        truststore=directory / "askonce-truststore.p12",
        renewed=renewed,
    )
    roots = [certificate.public_bytes(Encoding.DER), *known_roots(environ, without=_SUBJECT.public_bytes())]
    ca_pem = certificate.public_bytes(Encoding.PEM)
    write_whole(directory / "mitmproxy-dhparam.pem", _DH_PARAMETERS)
    write_whole(trust.ca_cert, ca_pem)
    if write_whole(trust.bundle, pem(roots)) or not trust.truststore.exists():
        write_whole(trust.truststore, truststore(roots))
    # Last: as long as it is missing or old, the next start does all of this again.
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_whole(directory / "mitmproxy-ca.pem", key_pem + ca_pem, mode=0o600)
    return trust


def _load(file: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate | None]:
    """The key and certificate of an earlier start, or a new key."""
    if not file.exists():
        return ec.generate_private_key(ec.SECP256R1()), None  # a new connection costs the proxy 3 ms less than with RSA
    remedy = "choose another folder with --certs, or move the file away and Askonce makes its own"
    try:
        text = file.read_bytes()
        key = load_pem_private_key(text, None)
        certificate = x509.load_pem_x509_certificate(text)
    except (ValueError, TypeError) as error:
        raise TrustError(f"{file}: expected a key and its certificate: {error}; {remedy}") from error
    if certificate.subject != _SUBJECT:
        owner = certificate.subject.rfc4514_string()
        raise TrustError(f"{file}: this authority ({owner}) is not Askonce's, and may vouch for any host; {remedy}")
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
        raise TrustError(f"{file}: the key is not the certificate's; {remedy}")
    return key, certificate


def _is_current(certificate: x509.Certificate, constraints: x509.NameConstraints) -> bool:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    except x509.ExtensionNotFound:
        return False
    now = datetime.now(UTC)
    return (
        extension.critical
        and extension.value == constraints
        and certificate.not_valid_before_utc <= now
        and now + _RENEW_BEFORE < certificate.not_valid_after_utc
    )


def _issue(key: ec.EllipticCurvePrivateKey, constraints: x509.NameConstraints) -> x509.Certificate:
    begin = datetime.now(UTC) - _BACKDATED
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    public_key = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(_SUBJECT)
        .issuer_name(_SUBJECT)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(begin + _VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(constraints, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .sign(key, hashes.SHA256())
    )


def _constraints(hosts: Iterable[str]) -> x509.NameConstraints:
    """Permit the hosts; forbid what is left of every other kind of name that a program may ask for."""
    names, addresses = set[str](), set[ipaddress.IPv4Address | ipaddress.IPv6Address]()
    for host in (*hosts, RESERVED_HOST):
        name = host.lower().removeprefix("*.").removeprefix("[").removesuffix("]").removesuffix(".")
        try:
            addresses.add(ipaddress.ip_address(name))
        except ValueError:
            names.add(_dns_name(name, host))
    if addresses:
        # Without SNI, mitmproxy's leaves name the proxy's own address as well, and the first address in the common
        # name, which OpenSSL holds against the DNS names.
        addresses |= {ipaddress.ip_address("127.0.0.1"), ipaddress.ip_address("::1")}
        names |= {str(address) for address in addresses if address.version == 4}
    permitted: list[x509.GeneralName] = [x509.DNSName(name) for name in sorted(names)]
    permitted += [x509.RFC822Name(RESERVED_HOST), x509.UniformResourceIdentifier(RESERVED_HOST)]
    permitted += [x509.IPAddress(ipaddress.ip_network(address)) for address in sorted(addresses, key=str)]
    # A kind of name with a permitted subtree allows nothing beside it; one without must be excluded as a whole.
    anywhere = [x509.IPAddress(ipaddress.ip_network(every)) for every in ("0.0.0.0/0", "::/0")]
    return x509.NameConstraints(permitted, None if addresses else anywhere)


def _dns_name(name: str, host: str) -> str:
    try:
        ascii_name = name.encode("idna").decode()
    except UnicodeError:
        ascii_name = ""
    if not re.fullmatch(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,62})\.)*[a-z0-9_-]{1,63}", ascii_name):
        raise TrustError(f"a certificate cannot name the host {host!r}: expected a name such as api.example.com")
    if host.startswith("*.") and "." not in ascii_name:
        raise TrustError(f"the hosts {host!r} are too many to vouch for: expected a pattern such as *.example.com")
    return ascii_name
