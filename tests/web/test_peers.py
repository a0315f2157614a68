"""The kernel says whose a connection is: by one question, and by its table where it takes no questions."""

from __future__ import annotations

import os
import socket
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest
from gateway import another_user
from support import wait_until

from trainqueue.web import peers, sockdiag

if TYPE_CHECKING:
    from collections.abc import Generator

    Ends = tuple[tuple[str, int], tuple[str, int]]

KINDS = [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("::", "127.0.0.1"), ("::", "::ffff:127.0.0.1")]


def no_answer(*_: object) -> None:
    """A kernel without sock_diag."""


@contextmanager
def connection(listens: str, asked: str) -> Generator[tuple[socket.socket, Ends], None, None]:
    """The client's socket, and both ends as the server sees them."""
    v6 = ":" in listens
    try:
        server = socket.create_server((listens, 0), family=socket.AF_INET6 if v6 else socket.AF_INET, dualstack_ipv6=v6)
    except (OSError, ValueError):
        pytest.skip("no IPv6 on this machine")
    with closing(server), socket.create_connection((asked, server.getsockname()[1])) as client:
        accepted, peer = server.accept()
        with accepted:
            yield client, (peer[:2], accepted.getsockname()[:2])


@pytest.mark.parametrize(("listens", "asked"), KINDS)
def test_both_ways_name_the_owner(listens: str, asked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with connection(listens, asked) as (_, ends):
        assert sockdiag.uid_of(*ends) == os.getuid()
        monkeypatch.setattr(sockdiag, "uid_of", no_answer)
        assert peers.uid_of(*ends) == os.getuid()


def test_both_ways_name_somebody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    with another_user(), connection("127.0.0.1", "127.0.0.1") as (_, ends):
        assert sockdiag.uid_of(*ends) == 65534
        monkeypatch.setattr(sockdiag, "uid_of", no_answer)
        assert peers.uid_of(*ends) == 65534


def test_a_socket_that_its_process_has_closed_is_nobodys() -> None:
    with connection("127.0.0.1", "127.0.0.1") as (client, ends):
        client.close()
        wait_until(lambda: sockdiag.uid_of(*ends) is None)
        assert peers.uid_of(*ends) == -1
