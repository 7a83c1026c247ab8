"""Which release of billfleet this is, for `--version` and crash reports; it asks nobody else."""

from importlib.metadata import PackageNotFoundError, version

FROM_A_CHECKOUT = "from a checkout, not installed"


def release() -> str:
    """The installed version; never raises, because crash reports need it too."""
    try:
        return version("billfleet")
    except PackageNotFoundError:
        return FROM_A_CHECKOUT
