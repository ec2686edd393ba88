"""One disk of a mount."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Optional, TypedDict, Union, cast

from provium import lines
from provium.binary import run
from provium.control import Control, split_lines, wait_until
from provium.crash import Options, Recording, State, states
from provium.errors import BadLineError, NoDiskError, ProviumError
from provium.fault import Fault, Value, rule_text, tagged
from provium.trace import Stream

if TYPE_CHECKING:  # Newer than the oldest Python. Type checkers have it, and nothing else needs it.
    from typing_extensions import Unpack

SECTOR = 512
"""The bytes of a sector."""

Keep = Union[str, Sequence[int]]
"""What survives a power cut: `none`, `all`, `first=N`, `random`, or the numbers of pending requests."""


class CutKeys(TypedDict, total=False):
    """The other keys of a power cut. None is the same as without the key."""

    p: Optional[float]
    """With `keep="random"`: the probability that a request survives."""
    seed: Optional[int]
    """The seed of what is random."""
    tear: Optional[int]
    """Pieces of this many sectors survive or not, in place of whole requests."""
    garbage: Optional[float]
    """The probability that a piece that is lost has neither old nor new data."""


def cut_line(keep: Keep, keys: CutKeys) -> str:
    """The line that is written to `power` for a cut."""
    known = CutKeys.__annotations__
    for key in keys:
        if key not in known:
            raise TypeError(f"a power cut has no key {key!r} (valid: keep, {', '.join(known)})")
    kept = keep if isinstance(keep, str) else "only=" + ",".join(str(number) for number in keep)
    given: dict[str, Value] = {"keep": kept}
    given.update({key: value for key, value in cast(dict[str, Optional[Value]], keys).items() if value is not None})
    return rule_text("cut", given) + "\n"


class Disk:
    """A disk: its data file at `path`, and its control files."""

    def __init__(self, control: Control, disk_id: str) -> None:
        self.control = control
        self.id = disk_id
        """Its name in the mount."""
        self.path = control.point / disk_id
        """The data file: what the program under test opens."""
        self.history: list[lines.RuleLine] = []
        """The rules that were disarmed, as they were then."""
        self.at_failure: list[lines.InFlight] = []
        """What was in flight when a block with a fault of this disk failed."""
        if not control.path(disk_id).is_dir():
            folder = control.path("")
            attached = sorted(entry.name for entry in folder.iterdir() if entry.is_dir())
            raise NoDiskError(disk_id, control.point, attached)

    def __fspath__(self) -> str:
        return str(self.path)

    def __repr__(self) -> str:
        return f"<Disk {self.path}>"

    # Faults.

    def fault(self, rule: str, **keys: Value) -> Fault:
        """Arms a rule beside those that are armed: a mode such as `eio_read`, or a rule as docs/faults.md has it.
        The words may be given as arguments: `fault("error", op="read", at="128+8", times=1)`.

        The result is a context manager that disarms it.
        """
        return self.arm(rule_text(rule, keys))[0]

    def arm(self, *rules: str) -> list[Fault]:
        """Arms all of these rules in one transaction, or none."""
        pairs = [tagged(rule) for rule in rules]
        self.control.write(f"{self.id}/faults", "".join(f"{text}\n" for text, _ in pairs))
        faults = [Fault(self, text, tag) for text, tag in pairs]
        for fault in faults:
            fault.warn()
        return faults

    def arm_profile(self, name: str, **settings: Value) -> list[Fault]:
        """Arms the rules of a profile of docs/profiles.md at one moment, as in `arm_profile("flaky-link", seed=7)`."""
        words = [f"{key}={value}" for key, value in settings.items()]
        text = split_lines(run("profile", name, *words))
        return self.arm(*(line for line in text if not line.startswith("#")))

    def clear(self) -> None:
        """Removes all rules, which releases what they hold."""
        self.history.extend(self.rules())
        self.control.write(f"{self.id}/faults", "\n", replace=True)

    def release(self, tag: str = "all", errno: Optional[str] = None) -> None:
        """Lets go held requests, of one tag or all; they are served, or fail with `errno`."""
        self.control.write(f"{self.id}/release", f"{tag} {errno}\n" if errno else f"{tag}\n")

    def wait_fired(self, rule: Union[Fault, str], n: int = 1, timeout: float = 10.0) -> lines.RuleLine:
        """Waits until a rule has acted on `n` requests: a `Fault`, a tag, or a rule's text as `faults` has it."""
        if isinstance(rule, Fault):
            return rule.wait_fired(n, timeout)

        def matching() -> list[lines.RuleLine]:
            return [line for line in self.rules() if rule in (line.tag, line.rule)]

        if not matching():
            armed = ", ".join(f"`{line.rule}`" for line in self.rules()) or "none"
            raise ProviumError(f"{self.path}: no rule or tag `{rule}` is armed (armed: {armed})")

        def done() -> Optional[lines.RuleLine]:
            return next((line for line in matching() if line.fired >= n), None)

        def told() -> str:
            counts = ", ".join(str(line.fired) for line in matching())
            return f"`{rule}` has fired {counts} times, and {n} was waited for"

        return wait_until(told, done, timeout)

    # What the control files say.

    def faults(self) -> list[str]:
        """The armed rules, oldest first."""
        return split_lines(self.control.read(f"{self.id}/faults"))

    def rules(self) -> list[lines.RuleLine]:
        """The armed rules with their counters."""
        texts = split_lines(self.control.read(f"{self.id}/rules"))
        return [lines.RuleLine.parse(text) for text in texts if text != "off"]

    def stats(self) -> dict[str, int]:
        """The counters, as docs/control-files.md names them."""
        return lines.parse_stats(self.control.read(f"{self.id}/stats"))

    def inflight(self) -> list[lines.InFlight]:
        """The requests that are not answered."""
        return self.control.lines(f"{self.id}/inflight", lines.InFlight.parse)

    def pending(self) -> list[lines.Pending]:
        """The requests that were answered and are not durable, oldest first."""
        return self.control.lines(f"{self.id}/pending", lines.Pending.parse)

    def damage(self) -> list[Union[lines.Damage, lines.Unlisted]]:
        """What rules and power cuts have done to the image."""
        return self.control.lines(f"{self.id}/damage", lines.parse_damage)

    def trace(self) -> Stream[lines.TraceLine]:
        """The answered requests from now on. Close it, or use it as a context manager."""
        return Stream(self.control, f"{self.id}/trace", lines.parse_trace)

    def decisions(self) -> Stream[lines.DecisionLine]:
        """The rules that act from now on, with rules that make the same faults again. Begin before they are armed."""
        return Stream(self.control, f"{self.id}/decisions", lines.parse_decision)

    @property
    def size(self) -> int:
        """The size in bytes."""
        return self._number("size")

    @property
    def seed(self) -> int:
        """The default seed of rules without `seed=`. Can be set, for rules that are armed afterwards."""
        return self._number("seed")

    @seed.setter
    def seed(self, seed: int) -> None:
        self.control.write(f"{self.id}/seed", f"{seed}\n")

    @property
    def cache(self) -> str:
        """`off` or `volatile`. Can be set."""
        text = self._line("cache")
        if text not in ("off", "volatile"):
            raise BadLineError("the state of a write cache", text)
        return text

    @cache.setter
    def cache(self, mode: str) -> None:
        self.control.write(f"{self.id}/cache", f"{mode}\n")

    # Power.

    @property
    def power(self) -> lines.Power:
        """The state of its power."""
        return lines.Power.parse(self._line("power"))

    def power_cut(self, keep: Keep = "none", **keys: Unpack[CutKeys]) -> lines.Power:
        """Cuts its power, and tells what survived. Until `power_on`, every request fails with EIO.

        `keys` are those of `CutKeys`: `p`, `seed`, `tear` and `garbage`.
        """
        self.control.write(f"{self.id}/power", cut_line(keep, keys))
        return self.power

    def power_on(self) -> None:
        """Returns the power."""
        self.control.write(f"{self.id}/power", "on\n")

    def power_cycle(self, keep: Keep = "none", **keys: Unpack[CutKeys]) -> lines.Power:
        """Cuts its power as `power_cut` does, and returns it at once. What it tells is the state between the two."""
        cut = self.power_cut(keep, **keys)
        self.power_on()
        return cut

    # The write log, and what a crash may leave.

    @property
    def log(self) -> Optional[lines.Log]:
        """The write log that is being kept."""
        return lines.Log.parse(self._line("log"))

    def record(self, log: Union[str, Path], base: Union[str, Path, None] = None) -> Recording:
        """Begins a write log in a new file. `base` is where a copy of the disk as it is now goes: `LOG.base` if it is
        None, nowhere if it is "none".

        The result is a context manager that ends the log.
        """
        return Recording(self.control, self.id, Path(log), base)

    def save_checkpoint(self, name: str, *, faults: bool = False) -> None:
        """Saves the disk as it is now; with `faults` its rules and their counters too."""
        words = " faults=yes" if faults else ""
        self.control.write(f"{self.id}/checkpoint", f"save {name}{words}\n")

    def restore_checkpoint(self, name: str) -> None:
        """Makes the disk what it was, any number of times. Requests that wait fail with EIO."""
        self.control.write(f"{self.id}/checkpoint", f"restore {name}\n")

    def drop_checkpoint(self, name: str) -> None:
        """Forgets a checkpoint. With the last one, what the disk holds is written to its image."""
        self.control.write(f"{self.id}/checkpoint", f"drop {name}\n")

    def checkpoints(self) -> list[str]:
        """The names of its checkpoints, oldest first."""
        return split_lines(self.control.read(f"{self.id}/checkpoint"))

    def mark(self, text: str) -> None:
        """Sets a mark in the trace and in the log: one line of 1 to 400 bytes."""
        self.control.write(f"{self.id}/mark", f"{text}\n")

    def states(
        self, log: Union[str, Path], check: Optional[str] = None, options: Optional[Options] = None
    ) -> Generator[State, None, None]:
        """The states that a power cut may have left, as `provium.states` has them. Ends a log that still runs."""
        running = self.log
        if running is not None and Path(running.path) == Path(log).resolve():
            self.control.write(f"{self.id}/log", "stop\n")
        return states(log, check, options)

    # The data, for tests that need no program of their own.

    def read(self, sector: int, count: int = 1) -> bytes:
        """Reads sectors through the mount, with one pread(2). Raises `OSError` as any client gets it."""
        fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(fd, count * SECTOR, sector * SECTOR)
        finally:
            os.close(fd)

    def write(self, sector: int, data: bytes) -> None:
        """Writes through the mount, with one pwrite(2), and does not flush."""
        fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            written = os.pwrite(fd, data, sector * SECTOR)
        finally:
            os.close(fd)
        if written != len(data):
            raise OSError(f"{self.path}: {written} of {len(data)} bytes written")

    def flush(self) -> None:
        """Flushes the disk, as `fsync` of any client does."""
        fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def note_failure(self) -> None:
        """Keeps what is in flight now, for a report."""
        try:
            self.at_failure = self.inflight()
        except ProviumError:
            self.at_failure = []

    def _line(self, file: str) -> str:
        return self.control.read(f"{self.id}/{file}").rstrip("\n")

    def _number(self, file: str) -> int:
        text = self._line(file)
        if not text.isdigit():
            raise BadLineError(f"a number in `{file}`", text)
        return int(text)
