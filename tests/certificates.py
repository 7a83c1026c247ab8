"""A certificate authority of our own and a certificate that it signed, for tests of TLS."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

FROM = datetime(2020, 1, 1, tzinfo=UTC)
UNTIL = datetime(2120, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Certificates:
    """Files: whom to trust, and what the server shows."""

    authority: Path
    chain: Path

    @classmethod
    def make(cls, folder: Path, *, host: str) -> Self:
        """Sign a certificate for one host."""
        root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
        root_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
        root = _signed(
            root_name, root_key, root_name, root_key, x509.BasicConstraints(ca=True, path_length=0)
        )
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        alternative = x509.SubjectAlternativeName([x509.DNSName(host)])
        certificate = _signed(name, key, root_name, root_key, alternative)
        made = cls(folder / "authority.pem", folder / "chain.pem")
        made.authority.write_bytes(root.public_bytes(serialization.Encoding.PEM))
        made.chain.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return made

    def server(self) -> ssl.SSLContext:
        """For whoever shows the certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain)
        return context

    def client(self) -> ssl.SSLContext:
        """For whoever trusts the authority, and nobody else."""
        return ssl.create_default_context(cafile=str(self.authority))


def _signed(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(FROM)
        .not_valid_after(UNTIL)
        .add_extension(extension, critical=True)
        .sign(issuer_key, hashes.SHA256())
    )
