"""The roots that programs trust, collected so that ours can be added: from certifi, the system and the environment.

One rule: a program that is given these files still verifies every host that it verified before.
"""

import binascii
import contextlib
import re
import ssl
import warnings
from base64 import b64decode
from collections.abc import Iterable, Mapping
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.hazmat.primitives.serialization import PrivateFormat, pkcs12

__all__ = [
    "ADDING_VARIABLES",
    "BUNDLE_VARIABLES",
    "TRUSTSTORE_PASSWORD",
    "certificates",
    "known_roots",
    "pem",
    "truststore",
]

BUNDLE_VARIABLES = (
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "AWS_CA_BUNDLE",
    "CARGO_HTTP_CAINFO",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "CODEX_CA_CERTIFICATE",
    "GIT_SSL_CAINFO",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "HTTPLIB2_CA_CERTS",
    "NIX_SSL_CERT_FILE",
    "PERL_LWP_SSL_CA_FILE",
    "PIP_CERT",
)
"""Variables that replace a program's roots: each is pointed at our bundle, which holds what each named before."""

ADDING_VARIABLES = ("NODE_EXTRA_CA_CERTS", "DENO_CERT")
"""Variables that add to a program's roots."""

TRUSTSTORE_PASSWORD = "changeit"
"""Java wants one. The trust store holds public certificates only, so it keeps no secret; this is Java's own default."""

_SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # openSUSE
    "/etc/ssl/cert.pem",  # macOS, BSD
)


def known_roots(environ: Mapping[str, str], without: bytes) -> list[bytes]:
    """Everything that a program might have trusted so far, each certificate once, as DER.

    Those that contain `without`, our own subject, are left out: an older certificate of ours would forbid new hosts.
    """
    named = [Path(environ[name]) for name in (*BUNDLE_VARIABLES, *ADDING_VARIABLES) if environ.get(name)]
    system = next(([Path(file)] for file in _SYSTEM_BUNDLES if Path(file).is_file()), [])
    found = dict[bytes, None]()
    for file in dict.fromkeys([Path(certifi.where()), *system, *named]):
        try:
            text = file.read_bytes()
        except OSError:
            continue  # a directory, or gone: the program had nothing from it that a file could hold
        found |= dict.fromkeys(certificates(text))
    return [der for der in found if without not in der]


def certificates(text: bytes) -> list[bytes]:
    """The certificates in a PEM file, as DER; whatever else is in it is passed over."""
    found = []
    for body in re.findall(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----", text):
        with contextlib.suppress(binascii.Error):
            found.append(b64decode(body))
    return found


def pem(ders: Iterable[bytes]) -> bytes:
    """Certificates as a PEM file."""
    return "".join(map(ssl.DER_cert_to_PEM_cert, ders)).encode()


def truststore(roots: Iterable[bytes]) -> bytes:
    """Certificates as a PKCS #12 file for Java."""
    entries = []
    with warnings.catch_warnings(action="ignore"):  # of odd serial numbers in old roots, which are not ours to mend
        for index, der in enumerate(roots):
            try:
                certificate = x509.load_der_x509_certificate(der)
            except ValueError:
                continue
            entries.append(pkcs12.PKCS12Certificate(certificate, str(index).encode()))
    encryption = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(2048).build(TRUSTSTORE_PASSWORD.encode())
    return pkcs12.serialize_java_truststore(entries, encryption)
