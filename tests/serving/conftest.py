"""One Ray for the whole run: the server that most of these tests share."""

from collections.abc import Iterator

import pytest

from tests.serving.running import Server, running_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running
