"""How bodies become envelopes, by the form of the queue that they lie in.

Most bodies are envelopes already. What a service of AWS writes by itself (an SNS notification, an
S3 event) is translated at the door into an event of the catalogue, so that nothing behind it
knows another form. The runtime and replay ask for the decoder of a queue. A translation is pure:
whether a signature is good is for the handler to say.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from billfleet_contracts.codec import decode
from billfleet_contracts.envelope import Envelope
from billfleet_contracts.routes import Form
from billfleet_contracts.s3_notices import decode_s3
from billfleet_contracts.sns_notices import decode_sns

Decoder = Callable[[str], Envelope]
"""A body to its envelope. Raises `ContractError` for what it cannot read."""

DECODERS: Final[Mapping[Form, Decoder]] = MappingProxyType(
    {"envelope": decode, "sns": decode_sns, "s3": decode_s3}
)


def decoder_of(form: Form) -> Decoder:
    """What reads the bodies of queues of this form."""
    return DECODERS[form]
