"""`trainqd`: a Service as a process of its own, with a log and signals.

SIGTERM and SIGINT stop it and leave running jobs running. SIGHUP is ignored, so that the daemon outlives
the terminal it was started from.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import logging
import resource
import signal
import sys
from typing import TYPE_CHECKING

from trainqueue import __version__, cells
from trainqueue.anchor import GoneError
from trainqueue.daemonlog import LogFile
from trainqueue.damage import DamagedError
from trainqueue.errors import FaultError, HomeHeldError, SettingsError, TrainqError
from trainqueue.home import Home
from trainqueue.service import Service
from trainqueue.settings import Settings, load

if TYPE_CHECKING:
    from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGINT)
EXIT_FAILED, EXIT_USAGE, EXIT_HELD = 1, 2, 3
logger = logging.getLogger("trainqueue")


def main() -> None:
    """The console script. Exit code 3: another process holds the home; 2: bad settings; 1: anything else."""
    parser = argparse.ArgumentParser(prog="trainqd", description="The daemon of trainq, the job queue for your GPU.")
    parser.add_argument("--home", help="home folder (default: $TRAINQ_HOME, else ~/.local/state/trainq)")
    parser.add_argument("--config", help="settings file (default: $TRAINQ_CONFIG, else ~/.config/trainq/trainq.toml)")
    parser.add_argument("--foreground", action="store_true", help="log to the terminal instead of trainqd.log")
    parser.add_argument("--version", action="version", version=f"trainqd {__version__}")
    options = parser.parse_args()
    try:
        run(Home.find(options.home), load(options.config), foreground=options.foreground)
    except HomeHeldError as error:
        fail(error, EXIT_HELD)
    except SettingsError as error:
        fail(error, EXIT_USAGE)
    except (TrainqError, OSError, ValueError) as error:
        fail(error, EXIT_FAILED)


def fail(error: Exception, code: int) -> None:
    sys.stderr.write(f"trainqd: {error}\n")
    sys.exit(code)


def run(home: Home, settings: Settings, *, foreground: bool) -> None:
    home.prepare()
    log_to(home, settings, foreground=foreground)
    # Blocked while threads are started, which inherit it: a signal that another thread took would not wake this one.
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    cells.settle()
    service = Service(home, settings, job_files=raise_file_limit())

    def leave(number: int, frame: FrameType | None) -> None:
        del frame
        logger.info("signal %d: stopping; running jobs run on", number)
        service.leaving.set()

    # Waiting jobs live long and form no cycles; by default the collector would walk all of them again and again. What
    # is new is looked at twice, a little at a time: 50,000 new objects at once held everybody for 25 ms.
    gc.freeze()
    gc.set_threshold(2_500, 2, 20_000)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in ENDING:
        signal.signal(number, leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)
    logger.info("serving %s", home.path)
    try:
        service.wait()
    finally:
        service.stop()
        logger.info("stopped")
    if service.crash is not None:
        raise last_words(service.crash, home)


def last_words(crash: BaseException, home: Home) -> TrainqError:
    """What happened, what is still safe, and what to do next."""
    if isinstance(crash, GoneError | DamagedError):
        return crash  # which says it all
    known = isinstance(crash, TrainqError | OSError) and not isinstance(crash, FaultError)
    what = f"cannot go on: {crash}" if known else f"stopped by a fault of its own: {crash!r}"
    return FaultError(f"{what}; running jobs run on, and nothing is lost; see {home.log}")


def raise_file_limit() -> int:
    """Libzmq aborts the process when it runs out of descriptors on ipc. Returns the limit as it was."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return soft


def log_to(home: Home, settings: Settings, *, foreground: bool) -> None:
    chosen = settings.daemon
    handler: logging.Handler = logging.StreamHandler()
    if not foreground:
        try:
            handler = LogFile(home.log, chosen.log_max_bytes, chosen.log_backups)
        except OSError as error:
            sys.stderr.write(f"trainqd: no log: {error}\n")  # a full disk may let us serve even so
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(chosen.log_level.upper())


if __name__ == "__main__":
    main()
