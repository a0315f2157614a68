"""One daemon and one `trainq-cli web` for all of these tests: real processes, real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from commands import Cli
from gateway import Web
from support import Daemon

from trainqueue.client import Client
from trainqueue.home import Home

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    made = Daemon(Home(tmp_path_factory.mktemp("web") / "home"))
    made.start()
    yield made
    with Client(made.home) as client:
        client.shutdown("cancel")
    assert made.process is not None
    made.process.wait(30)


@pytest.fixture(scope="package")
def web(served: Daemon) -> Iterator[Web]:
    with Web(Cli(served)) as made:
        yield made


@pytest.fixture
def asks(served: Daemon) -> Iterator[Client]:
    with Client(served.home) as made:
        yield made
