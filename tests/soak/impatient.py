"""A trainqd whose retention takes what has ended some seconds ago, which else takes five minutes."""

from __future__ import annotations

from trainqueue import daemon, prune

LINGER = 20.0

if __name__ == "__main__":
    prune.LINGER = LINGER
    daemon.main()
