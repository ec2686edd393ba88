"""Write logs, and the states that a power cut may have left, through `provium states`."""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Optional, Union

from provium import binary
from provium.control import Control
from provium.errors import BadLineError, CommandError, ProviumError

VERDICTS = ("good", "bad", "unchecked")


@dataclass(frozen=True)
class Options:
    """Which states `provium states` makes, and how it checks them. Empty fields are left to it."""

    base: Union[str, Path, None] = None
    """What the disk held first: an image, or "none" for zeros. `LOG.base` by default."""
    start: Optional[str] = None
    """Begin at this mark."""
    end: Optional[str] = None
    """End at this mark."""
    at: Optional[str] = None
    """`entry` or `flush`."""
    pick: Optional[str] = None
    """Which subsets of what is pending."""
    tear: Optional[int] = None
    """Requests survive in pieces of this many sectors."""
    seed: Optional[int] = None
    """Decides which states `random=M` picks."""
    jobs: Optional[int] = None
    """Number of checks side by side."""
    stop_after: Optional[int] = None
    """Stop after this many bad states."""
    check_timeout: float = 60.0
    """The seconds that one check may take."""
    total_timeout: float = 3600.0
    """The seconds that all of it may take."""
    more: tuple[str, ...] = field(default=())
    """Further words of the command line."""

    def words(self) -> list[str]:
        """The words of the command line."""
        pairs = {
            "--base": self.base,
            "--from": self.start,
            "--to": self.end,
            "--at": self.at,
            "--pick": self.pick,
            "--tear": self.tear,
            "--seed": self.seed,
            "--jobs": self.jobs,
            "--stop-after": self.stop_after,
        }
        given = [word for key, value in pairs.items() if value is not None for word in (key, str(value))]
        return [*given, *self.more]


@dataclass(frozen=True)
class State:
    """A state that a power cut may have left."""

    id: str
    """Its name, `POINT.SUBSET`: `provium states LOG --only ID --out FILE` makes it again."""
    point: int
    """How many entries of the log stand before it."""
    lost: tuple[int, ...]
    """Which of the pending pieces are lost, by number."""
    verdict: str
    """`good`, `bad` or `unchecked`."""
    code: Optional[int]
    """The exit code of the check, if it ended by itself."""
    log: Path

    @property
    def bad(self) -> bool:
        """Whether the check found it bad."""
        return self.verdict == "bad"

    def save(self, path: Union[str, Path]) -> Path:
        """Makes the state as a new image."""
        binary.run("states", str(self.log), "--only", self.id, "--out", str(path))
        return Path(path)

    @classmethod
    def parse(cls, found: dict[str, Any], log: Path) -> State:
        """The state of a line of `provium states --json`."""
        try:
            verdict, lost = str(found["verdict"]), tuple(int(piece) for piece in found["lost"])
            state = cls(str(found["id"]), int(found["point"]), lost, verdict, found["code"], log)
        except (KeyError, TypeError, ValueError) as error:
            raise BadLineError("a state of `provium states --json`", json.dumps(found)) from error
        if verdict not in VERDICTS:
            raise BadLineError("a verdict of `provium states --json`", verdict)
        return state


def states(
    log: Union[str, Path], check: Optional[str] = None, options: Optional[Options] = None
) -> Generator[State, None, None]:
    """The distinct states that a power cut may have left, from a write log, as they are found.

    `check` is a command for the shell that looks at the file `{}`, and ends with 0 if the state is good. Without it,
    the states are unchecked.
    """
    options = options or Options()
    command = _command(log, check, options, "--json")
    with tempfile.TemporaryFile("w+") as errors:
        with subprocess.Popen(
            _limited(command, options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as walk:
            try:
                yield from _parsed(walk, Path(log))
            except GeneratorExit:
                walk.terminate()
                raise
        errors.seek(0)
        _raise_if_failed(command, walk.returncode, errors.read(), options)


def assert_crash_safe(log: Union[str, Path], check: str, options: Optional[Options] = None) -> None:
    """Fails with the summary of `provium states` if `check` finds a state bad."""
    options = options or Options()
    command = _command(log, check, options)
    walk = subprocess.run(
        _limited(command, options), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    _raise_if_failed(command, walk.returncode, walk.stderr, options)
    if walk.returncode == SOME_BAD:
        raise AssertionError(f"`{check}` finds states bad that a power cut may leave:\n{walk.stdout}")


SOME_BAD = 1
"""The exit code of `provium states` that says so."""

TOO_LATE = 124
"""The exit code of timeout(1) that says so."""


def _command(log: Union[str, Path], check: Optional[str], options: Options, *more: str) -> list[str]:
    checking = [] if check is None else ["--check", check, "--timeout", f"{options.check_timeout}s"]
    return [binary.find_binary(), "states", str(log), *options.words(), *checking, *more]


def _limited(command: list[str], options: Options) -> list[str]:
    """The command, which SIGTERM ends in time, its checks included, even while nobody asks the iterator."""
    return ["timeout", "--kill-after=10", str(options.total_timeout), *command]


def _raise_if_failed(command: list[str], code: int, text: str, options: Options) -> None:
    if code not in (0, SOME_BAD):
        late = f"no end after {options.total_timeout:g} s\n" if code == TOO_LATE else ""
        raise CommandError(command, code, late + text)


def _parsed(walk: subprocess.Popen[str], log: Path) -> Generator[State, None, None]:
    assert walk.stdout is not None
    for line in walk.stdout:
        found = json.loads(line)
        if "summary" not in found:
            yield State.parse(found, log)


class Recording:
    """A write log that is being kept. As a context manager it ends with the block."""

    def __init__(self, control: Control, disk_id: str, log: Path, base: Union[str, Path, None]) -> None:
        self.log = log.absolute()
        """The log."""
        self._control = control
        self._file = f"{disk_id}/log"
        words = ["start", str(self.log)]
        if base is not None:
            words.append("base=none" if base == "none" else f"base={Path(base).absolute()}")
        control.write(self._file, shlex.join(words) + "\n")
        self._running = True

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        try:
            self.stop()
        except ProviumError:
            if kind is None:
                raise

    def stop(self) -> Path:
        """Ends the log, and returns its path. Ending it twice changes nothing."""
        if self._running:
            self._control.write(self._file, "stop\n")
            self._running = False
        return self.log

    def states(self, check: Optional[str] = None, options: Optional[Options] = None) -> Generator[State, None, None]:
        """Ends the log, and walks its states: see `states`."""
        return states(self.stop(), check, options)

    def assert_crash_safe(self, check: str, options: Optional[Options] = None) -> None:
        """Ends the log, and fails if `check` finds a state bad."""
        assert_crash_safe(self.stop(), check, options)
