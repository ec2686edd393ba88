"""Disks that fail on cue: a client of a provium mount.

A mount is the whole interface, and this package uses its files alone: see docs/control-files.md of provium. It needs
nothing but Python; the pytest plugin is in `provium.pytest_plugin`.
"""

from provium.binary import find_binary, what_is_missing
from provium.crash import Options, Recording, State, assert_crash_safe, states
from provium.disk import SECTOR, Disk
from provium.errors import (
    BadLineError,
    CommandError,
    MissingError,
    NoDiskError,
    NotAMountError,
    ProviumError,
    ProviumWarning,
    RejectedError,
    WaitTimeoutError,
)
from provium.fault import Fault
from provium.lines import (
    Answered,
    Damage,
    Decision,
    DecisionLine,
    DiskLine,
    Event,
    InFlight,
    Log,
    Lost,
    Noted,
    Pending,
    Power,
    Remark,
    RuleLine,
    TraceLine,
    Unlisted,
)
from provium.mount import Mount
from provium.trace import Stream

__all__ = [
    "SECTOR",
    "Answered",
    "BadLineError",
    "CommandError",
    "Damage",
    "Decision",
    "DecisionLine",
    "Disk",
    "DiskLine",
    "Event",
    "Fault",
    "InFlight",
    "Log",
    "Lost",
    "MissingError",
    "Mount",
    "NoDiskError",
    "NotAMountError",
    "Noted",
    "Options",
    "Pending",
    "Power",
    "ProviumError",
    "ProviumWarning",
    "Recording",
    "RejectedError",
    "Remark",
    "RuleLine",
    "State",
    "Stream",
    "TraceLine",
    "Unlisted",
    "WaitTimeoutError",
    "assert_crash_safe",
    "find_binary",
    "states",
    "what_is_missing",
]
