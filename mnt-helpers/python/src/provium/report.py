"""What a disk looked like when a test failed."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterable
from typing import Optional

from provium.disk import Disk
from provium.errors import ProviumError
from provium.lines import Answered, InFlight, Lost, RuleLine, TraceLine
from provium.trace import Stream

LAST = 12
"""How many requests a report shows."""

_EVERY = 0.05


class Recorder:
    """Keeps the last lines of a disk's trace. A thread reads them, so that none is lost for want of a reader."""

    def __init__(self, disk: Disk) -> None:
        self._stream: Stream[TraceLine] = disk.trace()
        self._last: deque[TraceLine] = deque(maxlen=LAST)
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"trace of {disk.id}", daemon=True)
        self._thread.start()

    def last(self) -> list[TraceLine]:
        """The last lines, oldest first."""
        with self._lock, contextlib.suppress(OSError, ProviumError):
            self._last.extend(self._stream)
        return list(self._last)

    def close(self) -> None:
        """Ends the thread and closes the trace."""
        self._done.set()
        self._thread.join()
        self._stream.close()

    def _run(self) -> None:
        while not self._done.wait(_EVERY):
            self.last()


def describe(disk: Disk, recorder: Optional[Recorder] = None) -> str:
    """The disk's rules with what they have done, what is held, and the last requests; a few lines of text."""
    try:
        parts = [_rules(disk), _held(disk), _power(disk), _trace(recorder)]
    except ProviumError as error:
        return f"{disk.path}: {error}"
    return "\n".join([f"{disk.path}, {disk.size} bytes", *(line for part in parts for line in part)])


def _rules(disk: Disk) -> Iterable[str]:
    armed = [_rule("armed", line) for line in disk.rules()]
    gone = [_rule("disarmed", line) for line in disk.history]
    return [*armed, *gone] or ["no rule was armed"]


def _rule(word: str, line: RuleLine) -> str:
    never = f", can never act: {line.never}" if line.never else ""
    times = "once" if line.fired == 1 else f"{line.fired} times"
    return f"{word}: {line.rule} -- fired {times} of {line.matched} matching requests{never}"


def _held(disk: Disk) -> Iterable[str]:
    now = disk.inflight()
    return [_waiting(line) for line in now or disk.at_failure]


def _waiting(line: InFlight) -> str:
    why = f"waits for {line.rules}" if line.rules else "is being served"
    return f"in flight: {line.op} {line.sector}+{line.count} {why}, since {line.age:.3f} s"


def _power(disk: Disk) -> Iterable[str]:
    power = disk.power
    if not power.on:
        yield f"the power is off: {power.kept} requests survived the cut, {power.lost} did not (seed {power.seed})"
    pending = disk.pending()
    if pending:
        yield f"{len(pending)} requests are answered and not durable"
    damage = disk.damage()
    if damage:
        yield f"damage: {len(damage)} ranges of sectors are not as they were written"


def _trace(recorder: Optional[Recorder]) -> Iterable[str]:
    lines = recorder.last() if recorder else []
    return [f"the last {len(lines)} requests:", *(f"  {_traced(line)}" for line in lines)] if lines else []


def _traced(line: TraceLine) -> str:
    if isinstance(line, Answered):
        by = f" by {'; '.join(line.rules)}" if line.rules else ""
        latency = f"{line.latency * 1000:.1f} ms"
        return f"{line.time:.6f} {line.op} {line.sector}+{line.count} {line.verdict} {latency}{by}"
    if isinstance(line, Lost):
        return f"({line.count} lines are missing here)"
    return f"{line.time:.6f} {line.kind}: {line.text}"
