"""No webhook goes inwards, however its address spells the inside."""

from ipaddress import ip_address

import pytest

from billfleet_workers.adapters.webhook_targets import check_address, check_url
from billfleet_workers.runtime.ports.webhooks import TargetRefused

INWARDS = [
    "127.0.0.1", "127.255.255.254", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "100.64.0.1", "0.0.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1",
    "255.255.255.255", "192.0.0.8", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1",
    "::", "::1", "fc00::1", "fd12:3456::1", "fe80::1", "ff02::1", "2001:db8::1",
    "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1",
    "64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "2002:7f00:1::", "2002:a00:1::",
    "2001:0:7f00:1::",
]  # fmt: skip
OUTWARDS = ["93.184.216.34", "8.8.8.8", "2606:2800:220:1:248:1893:25c8:1946"]


@pytest.mark.parametrize("address", INWARDS)
def test_address_inside_is_refused(address: str) -> None:
    with pytest.raises(TargetRefused):
        check_address(ip_address(address), to_loopback=False)


@pytest.mark.parametrize("address", OUTWARDS)
def test_public_address_is_let_through(address: str) -> None:
    check_address(ip_address(address), to_loopback=False)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_let_through_where_it_is_allowed_and_nothing_else_is(address: str) -> None:
    check_address(ip_address(address), to_loopback=True)
    with pytest.raises(TargetRefused):
        check_address(ip_address("169.254.169.254"), to_loopback=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://shop.example/hooks",
        "ftp://shop.example/",
        "https://user:secret@shop.example/",
        "https:///hooks",
        "https://shop.example:99999/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:7f00:1]/",
        "https://shop.example/a b",
        "https://shöp.example/",
        "https://shop.example/\r\nX: y",
        "javascript:alert(1)",
        "https://shop.example/" + "a" * 2000,
    ],
)
def test_address_that_no_webhook_may_have_is_refused_before_anything_is_asked(url: str) -> None:
    with pytest.raises(TargetRefused):
        check_url(url, to_loopback=False)


def test_plain_http_is_for_this_machine_only() -> None:
    assert check_url("http://127.0.0.1:9000/hooks", to_loopback=True).port == 9000
    assert check_url("https://shop.example/hooks?x=1", to_loopback=False).path == "/hooks"
