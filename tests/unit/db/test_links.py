import pytest

from billfleet_db.seals import genesis_hash, link_hash

LINK = (b"p" * 32, 7, 3, b"d" * 32)


def test_a_link_covers_its_predecessor_number_size_and_rows() -> None:
    """R40."""
    others = [
        (b"q" * 32, 7, 3, b"d" * 32),
        (b"p" * 32, 8, 3, b"d" * 32),
        (b"p" * 32, 7, 4, b"d" * 32),
        (b"p" * 32, 7, 3, b"e" * 32),
    ]
    assert len({link_hash(*LINK), *(link_hash(*other) for other in others)}) == 5


@pytest.mark.parametrize("tenant_id", ["acme", "bolt"])
def test_each_tenant_has_a_beginning_of_its_own(tenant_id: str) -> None:
    """R40."""
    assert len(genesis_hash(tenant_id)) == 32
    assert genesis_hash(tenant_id) != genesis_hash(tenant_id + "-2")
