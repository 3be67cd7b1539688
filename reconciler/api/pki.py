"""The server's own certificate authority, its certificate, and the token: made once, kept readable by their owner only."""

from __future__ import annotations

import ipaddress
import os
import secrets
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_DAYS = 3650
SERVER_DAYS = 365
RENEW_DAYS = 30
"""What is valid for less than this is made anew at the next start."""


class UnsafeFile(Exception):
    """A file that must be secret can be read by others, or belongs to somebody else."""


@dataclass(frozen=True, slots=True)
class Pki:
    """The files of one home's `pki` folder."""

    folder: Path

    @property
    def ca(self) -> Path:
        """The CA's certificate."""
        return self.folder / "ca.crt"

    @property
    def ca_key(self) -> Path:
        """The CA's key."""
        return self.folder / "ca.key"

    @property
    def cert(self) -> Path:
        """The server's certificate."""
        return self.folder / "server.crt"

    @property
    def key(self) -> Path:
        """The server's key."""
        return self.folder / "server.key"

    @property
    def token(self) -> Path:
        """The bearer token."""
        return self.folder / "token"

    @property
    def secrets_key(self) -> Path:
        """The key that encrypts Secrets in the database."""
        return self.folder / "secrets.key"

    def secret_files(self) -> tuple[Path, ...]:
        """What nobody else may read."""
        return (self.ca_key, self.key, self.token, self.secrets_key)

    def ensure(self, hosts: Sequence[str], now: datetime | None = None) -> None:
        """Make what is missing, ends soon, or does not name these hosts."""
        now = now or datetime.now(UTC)
        if not _good(self.ca, self.ca_key, now):
            key = ec.generate_private_key(ec.SECP256R1())
            write_secret(self.ca_key, _pem(key))
            write_secret(self.ca, _ca(key, now).public_bytes(serialization.Encoding.PEM))
            self.cert.unlink(missing_ok=True)
        if not (_good(self.cert, self.key, now) and _names(self.cert) >= set(hosts)):
            key = ec.generate_private_key(ec.SECP256R1())
            issuer = serialization.load_pem_private_key(self.ca_key.read_bytes(), None)
            assert isinstance(issuer, ec.EllipticCurvePrivateKey)
            cert = _server(key, x509.load_pem_x509_certificate(self.ca.read_bytes()), issuer, hosts, now)
            write_secret(self.key, _pem(key))
            write_secret(self.cert, cert.public_bytes(serialization.Encoding.PEM))
        if not self.token.exists():
            write_secret(self.token, secrets.token_urlsafe(32).encode())

    def context(self) -> ssl.SSLContext:
        """For the server's socket."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.cert, self.key)
        return context


def write_secret(path: Path, content: bytes) -> None:
    """Write a file of mode 0600, all or nothing: a reader sees the old content or the new one."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def check_secret(path: Path) -> None:
    """UnsafeFile if the file is there and anybody but us may read or write it."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    if found.st_mode & 0o077:
        raise UnsafeFile(f"cannot use {path}: its mode {found.st_mode & 0o777:04o} lets others in; run: chmod 600 {path}")
    if found.st_uid != os.geteuid():
        raise UnsafeFile(f"cannot use {path}: it belongs to user {found.st_uid}; run: chown {os.geteuid()} {path}")


def _good(cert: Path, key: Path, now: datetime) -> bool:
    try:
        found = x509.load_pem_x509_certificate(cert.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except (FileNotFoundError, ValueError):
        return False
    same = isinstance(private, ec.EllipticCurvePrivateKey) and private.public_key() == found.public_key()
    return same and found.not_valid_before_utc <= now < found.not_valid_after_utc - timedelta(days=RENEW_DAYS)


def _names(cert: Path) -> set[str]:
    found = x509.load_pem_x509_certificate(cert.read_bytes())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in names}


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(
    key: ec.EllipticCurvePrivateKey, name: x509.Name, issuer: x509.Name, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks differ
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        key_cert_sign=signs, crl_sign=signs, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _ca(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = _name(f"anneal-ca-{secrets.token_hex(4)}")
    return (
        _builder(key, name, name, now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .sign(key, hashes.SHA256())
    )


def _server(
    key: ec.EllipticCurvePrivateKey, ca: x509.Certificate, issuer: ec.EllipticCurvePrivateKey, hosts: Sequence[str], now: datetime
) -> x509.Certificate:
    return (
        _builder(key, _name("anneal"), ca.subject, now, SERVER_DAYS)
        .add_extension(x509.SubjectAlternativeName([_alternative(host) for host in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)
        .sign(issuer, hashes.SHA256())
    )


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
