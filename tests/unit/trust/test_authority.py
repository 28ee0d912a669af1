import ipaddress
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import certifi
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12
from tests.support.waiting import PATIENCE

from askonce.trust import Trust, TrustError, ca_info, ensure_ca, load_ca, upstream_bundle
from askonce.trust import authority as trust
from askonce.trust.roots import TRUSTSTORE_PASSWORD, certificates

HOSTS = ("api.openai.com", "*.openai.azure.com")
WITHIN = ("api.openai.com", "sample.openai.azure.com", "a.b.openai.azure.com", "askonce.internal")
OUTSIDE = ("example.com", "api.openai.com.example.com", "evilapi.openai.com", "azure.com", "127.0.0.1")
FILES = (
    "askonce-bundle.pem",
    "askonce-truststore.p12",
    "mitmproxy-ca-cert.pem",
    "mitmproxy-ca.pem",
    "mitmproxy-dhparam.pem",
)

type SignLeaf = Callable[..., Path]

node = shutil.which("node")
needs_node = pytest.mark.skipif(node is None, reason="Node.js is not installed")
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture
def made(tmp_path: Path) -> Trust:
    return ensure_ca(tmp_path / "certs", HOSTS, environ={})


@contextmanager
def tls_server(leaf: Path) -> Iterator[int]:
    """The port of a server that answers one connection with the certificate in `leaf`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    with context.wrap_socket(connection, server_side=True) as secure:
                        secure.recv(1)
                except OSError:
                    pass  # the client did not like the certificate; it says so itself

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(10)


def openssl_accepts(made: Trust, leaf: Path, name: str) -> bool:
    kind = "-verify_ip" if name[0].isdigit() else "-verify_hostname"
    command = ["openssl", "verify", "-x509_strict", "-CAfile", made.ca_cert, kind, name, leaf]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 or "permitted subtree violation" in done.stderr or "excluded subtree" in done.stderr
    return done.returncode == 0


def python_accepts(made: Trust, leaf: Path, name: str) -> bool:
    context = ssl.create_default_context(cafile=str(made.bundle))
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with tls_server(leaf) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        try:
            context.wrap_socket(connection, server_hostname=name).close()
        except ssl.SSLCertVerificationError as error:
            assert "subtree violation" in error.verify_message
            return False
        return True


NODE_CLIENT = """
const [port, name] = process.argv.slice(1);
const isIp = require("net").isIP(name);
const socket = require("tls").connect({ host: "127.0.0.1", port, servername: isIp ? "" : name }, () => socket.end());
socket.on("error", (error) => { console.log(error.message); process.exitCode = 9; });
"""


def node_accepts(made: Trust, leaf: Path, name: str) -> bool:
    assert node
    with tls_server(leaf) as port:
        environment = {"PATH": os.environ["PATH"], "NODE_EXTRA_CA_CERTS": str(made.ca_cert)}
        done = subprocess.run(
            [node, "-e", NODE_CLIENT, str(port), name],
            env=environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    assert done.returncode == 0 or "subtree violation" in done.stdout, done
    return done.returncode == 0


CLIENTS = pytest.mark.parametrize(
    "accepts",
    [
        pytest.param(openssl_accepts, marks=needs_openssl),
        python_accepts,
        pytest.param(node_accepts, marks=needs_node),
    ],
)


@CLIENTS
def test_a_leaf_for_a_host_of_the_rules_is_accepted(
    made: Trust, sign_leaf: SignLeaf, accepts: Callable[[Trust, Path, str], bool]
) -> None:
    assert [accepts(made, sign_leaf(made.directory, name), name) for name in WITHIN] == [True] * len(WITHIN)


@CLIENTS
def test_a_leaf_for_any_other_host_is_refused(
    made: Trust, sign_leaf: SignLeaf, accepts: Callable[[Trust, Path, str], bool]
) -> None:
    assert [accepts(made, sign_leaf(made.directory, name), name) for name in OUTSIDE] == [False] * len(OUTSIDE)


@needs_openssl
@pytest.mark.parametrize("also", ["example.com", "10.0.0.1", "::1", "root@example.com", "https://example.com/"])
def test_a_leaf_may_not_name_anything_else_besides(made: Trust, sign_leaf: SignLeaf, also: str) -> None:
    assert not openssl_accepts(made, sign_leaf(made.directory, "api.openai.com", also), "api.openai.com")


def test_an_address_that_a_rule_names_is_accepted_and_no_other(tmp_path: Path, sign_leaf: SignLeaf) -> None:
    made = ensure_ca(tmp_path / "certs", ["10.0.0.5", "[fd00::5]"], environ={})
    # Without SNI, mitmproxy names its own address first.
    assert python_accepts(made, sign_leaf(made.directory, "127.0.0.1", "10.0.0.5"), "10.0.0.5")
    assert python_accepts(made, sign_leaf(made.directory, "127.0.0.1", "fd00::5"), "fd00::5")
    for name in ("10.0.0.6", "127.0.0.2", "fd00::6"):
        assert not python_accepts(made, sign_leaf(made.directory, name), name)


def test_the_certificate_says_what_it_is_for(made: Trust) -> None:
    certificate = x509.load_pem_x509_certificate(made.ca_cert.read_bytes())
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    names = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert (basic.critical, basic.value.ca, basic.value.path_length, names.critical) == (True, True, 0, True)
    assert names.value.excluded_subtrees == [
        x509.IPAddress(ipaddress.ip_network("0.0.0.0/0")),
        x509.IPAddress(ipaddress.ip_network("::/0")),
    ]
    info = ca_info(made.directory)
    assert info.hosts == ("api.openai.com", "askonce.internal", "openai.azure.com")
    assert re.fullmatch(r"(?:[0-9A-F]{2}:){31}[0-9A-F]{2}", info.fingerprint)
    now = datetime.now(UTC)
    assert info.not_before < now - timedelta(days=1)
    assert now + timedelta(days=700) < info.not_after < now + timedelta(days=825)


def test_only_the_owner_reads_the_key(made: Trust) -> None:
    assert made.directory.stat().st_mode & 0o777 == 0o700
    assert (made.directory / "mitmproxy-ca.pem").stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in made.directory.iterdir()) == [".gitignore", ".lock", *FILES]


def test_a_loosened_key_is_closed_again(made: Trust) -> None:
    made.directory.chmod(0o755)
    (made.directory / "mitmproxy-ca.pem").chmod(0o644)
    ensure_ca(made.directory, HOSTS, environ={})
    test_only_the_owner_reads_the_key(made)


def state(directory: Path) -> list[tuple[str, int]]:
    return [(name, (directory / name).stat().st_ino) for name in FILES]


def test_a_second_start_changes_nothing(made: Trust) -> None:
    before = state(made.directory)
    again = ensure_ca(made.directory, reversed(HOSTS), environ={})
    assert (made.renewed, again.renewed) == (True, False)
    assert state(made.directory) == before
    assert load_ca(made.directory, environ={}) == again
    assert state(made.directory) == before


def key_and_certificate(directory: Path) -> tuple[bytes, bytes]:
    key, begin, certificate = (directory / "mitmproxy-ca.pem").read_bytes().partition(b"-----BEGIN CERTIFICATE")
    return key, begin + certificate


def test_other_hosts_renew_the_certificate_and_keep_the_key(made: Trust, sign_leaf: SignLeaf) -> None:
    key, certificate = key_and_certificate(made.directory)
    old_leaf = sign_leaf(made.directory, "api.openai.com")
    again = ensure_ca(made.directory, [*HOSTS, "api.mistral.ai"], environ={})
    new_key, new_certificate = key_and_certificate(made.directory)
    assert again.renewed
    assert (new_key == key, new_certificate == certificate) == (True, False)
    assert again.ca_cert.read_bytes() == new_certificate
    assert python_accepts(again, sign_leaf(made.directory, "api.mistral.ai"), "api.mistral.ai")
    assert python_accepts(again, old_leaf, "api.openai.com")


def test_a_host_that_is_no_longer_named_is_refused(made: Trust, sign_leaf: SignLeaf) -> None:
    leaf = sign_leaf(made.directory, "sample.openai.azure.com")
    again = ensure_ca(made.directory, ["api.openai.com"], environ={})
    assert not python_accepts(again, leaf, "sample.openai.azure.com")


def test_a_certificate_near_its_end_is_renewed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(trust, "_VALID", timedelta(days=80))
        ensure_ca(tmp_path, HOSTS, environ={})
    assert ensure_ca(tmp_path, HOSTS, environ={}).renewed
    assert not ensure_ca(tmp_path, HOSTS, environ={}).renewed


def test_the_certificate_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    other = trustme.CA(organization_name="mitmproxy")
    file = tmp_path / "mitmproxy-ca.pem"
    content = other.private_key_pem.bytes() + other.cert_pem.bytes()
    file.write_bytes(content)
    for make in (lambda: ensure_ca(tmp_path, HOSTS), lambda: load_ca(tmp_path)):
        with pytest.raises(TrustError, match=r"mitmproxy-ca.pem: this authority \(.*O=mitmproxy.*\) is not Askonce's"):
            make()
    assert file.read_bytes() == content


@pytest.mark.parametrize("content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\n"])
def test_a_broken_key_is_reported_with_its_file(made: Trust, content: bytes) -> None:
    file = made.directory / "mitmproxy-ca.pem"
    file.write_bytes(content)
    with pytest.raises(TrustError, match=r"mitmproxy-ca.pem: expected a key and its certificate: .*move the file away"):
        ensure_ca(made.directory, HOSTS)


def test_the_key_of_another_certificate_is_reported(made: Trust, tmp_path: Path) -> None:
    other = ensure_ca(tmp_path / "other", HOSTS, environ={})
    mixed = key_and_certificate(made.directory)[0] + other.ca_cert.read_bytes()
    (made.directory / "mitmproxy-ca.pem").write_bytes(mixed)
    with pytest.raises(TrustError, match="the key is not the certificate's"):
        ensure_ca(made.directory, HOSTS)


@pytest.mark.parametrize("host", ["*.com", "*", "", "a b.com", "-x.com/", "é" * 70, "a..b"])
def test_a_host_that_cannot_be_named_is_refused(tmp_path: Path, host: str) -> None:
    with pytest.raises(TrustError, match=r"expected a (name|pattern) such as"):
        ensure_ca(tmp_path, [host])


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TrustError, match="file/certs: Not a directory"):
        ensure_ca(tmp_path / "file" / "certs", HOSTS)


def test_without_an_authority_the_remedy_is_named(tmp_path: Path) -> None:
    for look in (ca_info, load_ca):
        with pytest.raises(TrustError, match="there is none yet; `askonce serve` makes it"):
            look(tmp_path)


def test_first_starts_side_by_side_end_with_one_key(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from askonce.trust import ensure_ca\n"
        "print(ensure_ca(Path(sys.argv[1]), sys.argv[2:]).renewed)"
    )
    command = [sys.executable, "-c", program, tmp_path / "certs", *HOSTS]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert sorted(process.communicate()[0].strip() for process in started) == ["False", "False", "True"]
    assert not ensure_ca(tmp_path / "certs", HOSTS).renewed


@pytest.mark.parametrize("survives", range(len(FILES)))
def test_an_interrupted_start_is_mended_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sign_leaf: SignLeaf, survives: int
) -> None:
    replace, done = Path.replace, 0

    def interrupted(self: Path, target: Path) -> Path:
        nonlocal done
        if done == survives:
            raise KeyboardInterrupt
        done += 1
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ensure_ca(tmp_path / "certs", HOSTS, environ={})
    made = ensure_ca(tmp_path / "certs", HOSTS, environ={})
    test_only_the_owner_reads_the_key(made)
    assert python_accepts(made, sign_leaf(made.directory, "api.openai.com"), "api.openai.com")


def test_the_bundle_holds_what_was_trusted_before(tmp_path: Path) -> None:
    corporate, node_only = trustme.CA(), trustme.CA()
    corporate.cert_pem.write_to_path(tmp_path / "corporate.pem")
    node_only.cert_pem.write_to_path(tmp_path / "node.pem")
    (tmp_path / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n")
    environ = {
        "REQUESTS_CA_BUNDLE": str(tmp_path / "corporate.pem"),
        "NODE_EXTRA_CA_CERTS": str(tmp_path / "node.pem"),
        "PIP_CERT": str(tmp_path / "broken.pem"),
        "AWS_CA_BUNDLE": str(tmp_path / "missing.pem"),
        "CURL_CA_BUNDLE": str(tmp_path),
    }
    made = ensure_ca(tmp_path / "certs", HOSTS, environ)
    bundle = certificates(made.bundle.read_bytes())
    expected = [
        *certificates(made.ca_cert.read_bytes()),
        *certificates(corporate.cert_pem.bytes()),
        *certificates(node_only.cert_pem.bytes()),
        *certificates(Path(certifi.where()).read_bytes()),
    ]
    assert set(expected) <= set(bundle)
    assert len(bundle) == len(set(bundle))


def test_the_bundle_never_holds_an_older_certificate_of_ours(made: Trust, tmp_path: Path) -> None:
    shutil.copy(made.bundle, tmp_path / "old.pem")
    again = ensure_ca(made.directory, ["api.mistral.ai"], {"SSL_CERT_FILE": str(tmp_path / "old.pem")})
    old, new = (certificates((tmp_path / "old.pem").read_bytes()), certificates(again.bundle.read_bytes()))
    assert new[0] != old[0]
    assert new[1:] == old[1:]


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_java_gets_the_same_roots(made: Trust) -> None:
    held = pkcs12.load_pkcs12(made.truststore.read_bytes(), TRUSTSTORE_PASSWORD.encode())
    roots = {entry.certificate for entry in held.additional_certs}
    assert held.key is None
    assert x509.load_pem_x509_certificate(made.ca_cert.read_bytes()) in roots
    assert len(roots) == len(certificates(made.bundle.read_bytes()))


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("keytool") is None, reason="no Java is installed")
def test_java_reads_its_trust_store(made: Trust) -> None:
    command = ["keytool", "-list", "-keystore", made.truststore, "-storepass", TRUSTSTORE_PASSWORD]
    listed = subprocess.run(command, capture_output=True, text=True).stdout
    assert listed.count("trustedCertEntry") == len(certificates(made.bundle.read_bytes()))


def test_upstreams_are_verified_with_the_usual_roots_and_the_given_ones(made: Trust, tmp_path: Path) -> None:
    extra = trustme.CA()
    extra.cert_pem.write_to_path(tmp_path / "extra.pem")
    assert upstream_bundle(made.directory, None) is None
    bundle = upstream_bundle(made.directory, tmp_path / "extra.pem")
    assert bundle
    usual = certificates(Path(certifi.where()).read_bytes())
    assert certificates(bundle.read_bytes()) == [*usual, *certificates(extra.cert_pem.bytes())]
    (tmp_path / "extra.pem").write_text("nothing")
    with pytest.raises(TrustError, match=r"extra.pem: expected certificates in PEM"):
        upstream_bundle(made.directory, tmp_path / "extra.pem")
    with pytest.raises(TrustError, match=r"missing.pem: No such file"):
        upstream_bundle(made.directory, tmp_path / "missing.pem")


def test_the_dh_group_is_the_one_of_rfc_7919(made: Trust) -> None:
    # Section A.1: p = 2^2048 - 2^1984 + ((2^1918 * e) + 560316) * 2^64 - 1, with e the base of the natural logarithm.
    one = euler = term = 1 << 2100
    for divisor in range(1, 400):
        term //= divisor
        euler += term
    prime = 2**2048 - 2**1984 + ((2**1918 * euler) // one + 560316) * 2**64 - 1
    body = "".join((made.directory / "mitmproxy-dhparam.pem").read_text().splitlines()[1:-1])
    der = ssl.PEM_cert_to_DER_cert(f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    # SEQUENCE of the INTEGER p (257 bytes, the first of them 0) and the INTEGER 2.
    assert der == b"\x30\x82\x01\x08\x02\x82\x01\x01" + prime.to_bytes(257) + b"\x02\x01\x02"
