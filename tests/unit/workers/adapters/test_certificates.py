"""Certificates over HTTP: whole, however they arrive, and kept."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from billfleet_workers.adapters.certificates import BYTES_MAX, HttpCertificates
from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.runtime.errors import Unavailable
from pieces import serving


@asynccontextmanager
async def opened() -> AsyncIterator[HttpCertificates]:
    certificates = HttpCertificates(ManualClock(datetime(2026, 3, 2, tzinfo=UTC)))
    try:
        yield certificates
    finally:
        await certificates.close()


async def test_a_certificate_that_comes_in_pieces_is_read_to_its_end_and_kept() -> None:
    async with serving(b"-----BEGIN ", b"CERTIFICATE", b"-----\n") as far, opened() as certificates:
        whole = await certificates.get(far.url)
        assert whole == b"-----BEGIN CERTIFICATE-----\n"
        assert await certificates.get(far.url) == whole
        assert far.requests == 1


async def test_an_answer_beyond_all_measure_is_no_certificate() -> None:
    async with serving(b"x" * BYTES_MAX, b"x") as far, opened() as certificates:
        with pytest.raises(Unavailable):
            await certificates.get(far.url)
