"""One gateway for all tests of the faces: none of them may leave it in another state than it found it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.gateways import Running, running_gateway


@pytest.fixture(scope="package")
def running() -> Iterator[Running]:
    """A gateway over the fake market and the real theories."""
    with running_gateway() as gateway:
        yield gateway
