"""Settings: one TOML file, every field with a default; conf/trainq.toml shows them all."""

from __future__ import annotations

import difflib
import re
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from trainqueue.capture import settings_file
from trainqueue.core.spec import LaneGpus, LaneName  # noqa: TC001  (msgspec looks it up at run time)
from trainqueue.errors import SettingsError

AfterReboot = Literal["continue", "hold"]
GpuName = Annotated[str, Meta(pattern=r"^(\d{1,4}|[A-Za-z][\w:.-]{3,199})\Z")]
DESKTOP = (
    *("Xorg", "Xwayland", "gnome-shell", "kwin_x11", "kwin_wayland", "plasmashell", "mutter", "sway", "Hyprland"),
    *("weston", "cosmic-comp", "cinnamon", "xfwm4", "sddm-greeter", "gnome-remote-desktop-daemon"),
)


SECRET = (
    *("*TOKEN*", "*SECRET*", "*PASSW*", "*PASSPHRASE*", "*CREDENTIAL*", "*_KEY", "*APIKEY*", "*_KEY_*"),
    *("*_AUTH", "*COOKIE*", "*_PAT", "*_DSN", "*NETRC*"),
)


class DaemonSettings(Struct, frozen=True, forbid_unknown_fields=True):
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_max_bytes: Annotated[int, Meta(ge=10_000)] = 5_000_000
    log_backups: Annotated[int, Meta(ge=0, le=100)] = 3


class QueueSettings(Struct, frozen=True, forbid_unknown_fields=True):
    default_grace: Annotated[float, Meta(ge=0, le=86400)] = 10.0
    """Seconds between SIGTERM and SIGKILL where a job does not say."""
    max_waiting: Annotated[int, Meta(ge=1)] = 1_000_000
    """Jobs that may wait at a time; one more is refused with the code `limit`."""
    max_sweep: Annotated[int, Meta(ge=1, le=100_000)] = 100_000
    """Jobs that one `submit --sweep`, `--array` or `--from-csv` may make."""
    after_reboot: AfterReboot = "continue"
    """`hold`: where jobs wait when the machine has been restarted, pause until somebody resumes."""
    crash_guard_jobs: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    """Attempts in a row that fail at once, until the queue is paused; 0: never."""
    crash_guard_seconds: Annotated[float, Meta(ge=0, le=86400)] = 10.0
    """At once: within so many seconds of their start."""
    stall_timeout: Annotated[float, Meta(ge=0, le=10 * 365 * 86400)] = 0.0
    """Seconds, where a job does not say; 0 for none."""
    stall_action: Literal["warn", "stop"] = "warn"


class GpuSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Which GPUs are used, and when one counts as free. Sizes in bytes, durations in seconds."""

    backend: Literal["auto", "none"] = "auto"
    """`none`: serve one slot, `cpu:0`, whatever GPUs there are."""
    left_out: tuple[GpuName, ...] = ()
    """Indices in PCI order, or UUIDs."""
    ignore_users: tuple[str, ...] = ()
    ignore_commands: tuple[str, ...] = DESKTOP
    """Names of programs, without their folder."""
    ignore_below: Annotated[int, Meta(ge=0, le=2**60)] = 0
    """Foreign processes with less than this are in nobody's way."""
    ignore_graphics_below: Annotated[int, Meta(ge=0, le=2**60)] = 2**30
    """The same for processes that draw and do not compute: browsers, editors."""
    cpu_jobs: Annotated[int, Meta(ge=0, le=10_000)] = 0
    """Jobs without a GPU at a time; 0: as many as there are processors."""
    release_tolerance: Annotated[int, Meta(ge=0, le=2**60)] = 256 * 2**20
    release_timeout: Annotated[float, Meta(ge=1, le=86400)] = 60.0
    settle_time: Annotated[float, Meta(ge=0, le=86400)] = 60.0


class HistorySettings(Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept of ended jobs; 0 sets no bound."""

    max_jobs: Annotated[int, Meta(ge=0)] = 0
    max_age_days: Annotated[float, Meta(ge=0, le=100_000)] = 0.0
    max_log_bytes: Annotated[int, Meta(ge=0)] = 20 * 2**30
    max_events: Annotated[int, Meta(ge=100)] = 100_000
    key_days: Annotated[float, Meta(ge=0.01, le=100_000)] = 7.0
    """How long a repeated `submit` is known by its key."""


class LaneSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """A named queue beside the others; `trainq-cli lane` goes before it."""

    gpus: LaneGpus | None = None
    """So many at most for its jobs together."""
    paused: bool = False


class LogSettings(Struct, frozen=True, forbid_unknown_fields=True):
    max_bytes: Annotated[int, Meta(ge=0, le=2**62)] = 2**30
    """Bytes of an attempt's log, 0 for no cap; less than a mebibyte counts as one."""


class EnvironmentSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Of whoever submits. Patterns of names of variables, as a shell knows them, in whatever case."""

    allow: tuple[str, ...] = ("*",)
    deny: tuple[str, ...] = ()
    """Goes before `allow`: not handed on to jobs."""
    secret: tuple[str, ...] = SECRET
    """Handed on, and never shown."""

    def lets_through(self, name: str) -> bool:
        """Whether a job gets this variable."""

        def fits(patterns: tuple[str, ...]) -> bool:
            return any(fnmatchcase(name.upper(), pattern.upper()) for pattern in patterns)

        return fits(self.allow) and not fits(self.deny)


class SnapshotSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Of whoever submits: what one snapshot holds at most."""

    max_bytes: Annotated[int, Meta(ge=0, le=2**60)] = 2**30
    max_files: Annotated[int, Meta(ge=0, le=10_000_000)] = 100_000
    """Folders and links count as well."""


class WebSettings(Struct, frozen=True, forbid_unknown_fields=True):
    """Of `trainq-cli web`."""

    address: str = "127.0.0.1"
    """Any but loopback needs the token that it prints."""
    port: Annotated[int, Meta(ge=0, le=65535)] = 8427
    allowed_hosts: tuple[str, ...] = ()
    """Further names under which a browser may ask for it."""


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    daemon: DaemonSettings = DaemonSettings()
    queue: QueueSettings = QueueSettings()
    gpus: GpuSettings = GpuSettings()
    history: HistorySettings = HistorySettings()
    logs: LogSettings = LogSettings()
    environment: EnvironmentSettings = EnvironmentSettings()
    snapshot: SnapshotSettings = SnapshotSettings()
    web: WebSettings = WebSettings()
    lanes: dict[LaneName, LaneSettings] = {}


SECTIONS = (
    DaemonSettings,
    QueueSettings,
    GpuSettings,
    HistorySettings,
    LogSettings,
    EnvironmentSettings,
    SnapshotSettings,
    WebSettings,
    LaneSettings,
)


def load(explicit: str | None = None) -> Settings:
    """From `explicit`, else $TRAINQ_CONFIG, else the XDG place; a missing default file means defaults.

    Raises SettingsError naming file and field.
    """
    place, named = settings_file()
    path, chosen = (Path(explicit).expanduser(), True) if explicit else (Path(place), named)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if chosen:
            msg = f"there is no settings file {path}"
            raise SettingsError(msg) from None
        return Settings()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read the settings file {path}: {error}"
        raise SettingsError(msg) from error
    return parse(text, str(path))


def parse(text: str, name: str) -> Settings:
    """Raises SettingsError naming `name` and the field."""
    try:
        return msgspec.convert(tomllib.loads(text), Settings)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        msg = f"{name}: {error}{hint(str(error))}"
        raise SettingsError(msg) from None


def hint(message: str) -> str:
    """Did you mean …, for a misspelt field."""
    found = re.search(r"unknown field `([^`]*)`", message)
    known = [field for part in (Settings, *SECTIONS) for field in part.__struct_fields__]
    near = difflib.get_close_matches(found[1], known, 1) if found else []
    return f" (did you mean {near[0]!r}?)" if near else ""
