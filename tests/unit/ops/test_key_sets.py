"""The key set behind tokens, as the front door fetches it."""

from billfleet_ops.front_door import key_set_at
from pieces import serving


async def test_a_key_set_that_comes_in_pieces_is_read_to_its_end() -> None:
    async with serving(b'{"keys": [', b'{"kid": "k1"}', b"]}") as far:
        assert await key_set_at(far.url)() == {"keys": [{"kid": "k1"}]}
