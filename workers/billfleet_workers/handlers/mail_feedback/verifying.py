"""Is this notification really from Amazon SNS, from a topic of ours, and not too old? (R51) Pure.

The handler asks before it reads a word of the message. What is signed is what AWS documents for
notifications, in both versions of its signature.
"""

import base64
import binascii
import re
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from billfleet_contracts import SnsNotification

AGE_MAX: Final = timedelta(days=14, hours=1)
"""As long as a queue keeps a message: an older one does not come from SNS by way of our queue."""
AHEAD_MAX: Final = timedelta(minutes=5)

_CERTIFICATE_URL: Final = re.compile(
    r"https://sns\.[a-z]{2}(?:-[a-z]+)+-\d\.amazonaws\.com(?:\.cn)?/[A-Za-z0-9._-]+\.pem"
)
_HASHES: Final = {"1": hashes.SHA1, "2": hashes.SHA256}


class NotTrusted(Exception):
    """A notification that nothing may follow from. Look at the reason, then at who may write to
    the queue.
    """


def check_envelope(
    notice: SnsNotification, now: datetime, topic_arns: Collection[str], age_max: timedelta
) -> None:
    """Topic, age, version and certificate's address.

    Raises:
        NotTrusted: one of them is not as it must be.
    """
    if notice.topic_arn not in topic_arns:
        raise NotTrusted(f"topic {notice.topic_arn} is not one that we listen to")
    if notice.signature_version not in _HASHES:
        raise NotTrusted(f"signature version {notice.signature_version} is not known")
    if _CERTIFICATE_URL.fullmatch(notice.signing_cert_url) is None:
        raise NotTrusted("the certificate does not lie with Amazon SNS")
    sent_at = datetime.fromisoformat(notice.timestamp)
    if not now - age_max <= sent_at <= now + AHEAD_MAX:
        raise NotTrusted(f"it was signed at {notice.timestamp}, which is too long ago or ahead")


def check_signature(notice: SnsNotification, certificate_pem: bytes, now: datetime) -> None:
    """The signature, with the certificate that was fetched.

    Raises:
        NotTrusted: it is not of this content, or the certificate is no good.
    """
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        signature = base64.b64decode(notice.signature, validate=True)
    except (ValueError, binascii.Error) as error:
        raise NotTrusted("certificate or signature can't be read") from error
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise NotTrusted("the certificate is not valid now")
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise NotTrusted("the certificate holds no RSA key")
    digest = _HASHES[notice.signature_version]()
    try:
        key.verify(signature, signed_text(notice), padding.PKCS1v15(), digest)
    except InvalidSignature as error:
        raise NotTrusted("the signature is not of this content") from error


def signed_text(notice: SnsNotification) -> bytes:
    """What SNS signs of a notification: names and values, each on a line, in this order."""
    pairs = [
        ("Message", notice.message),
        ("MessageId", notice.message_id),
        ("Subject", notice.notification_subject),
        ("Timestamp", notice.timestamp),
        ("TopicArn", notice.topic_arn),
        ("Type", notice.kind),
    ]
    return "".join(f"{name}\n{value}\n" for name, value in pairs if value is not None).encode()
