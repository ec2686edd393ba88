"""An armed rule."""

from __future__ import annotations

import itertools
import os
import warnings
from types import TracebackType
from typing import TYPE_CHECKING, Optional, Union

from provium.control import wait_until
from provium.errors import ProviumError, ProviumWarning
from provium.lines import RuleLine

if TYPE_CHECKING:
    from provium.disk import Disk

Value = Union[str, int, float]
"""The value of a `key=value` word of a rule."""

_numbers = itertools.count(1)


def rule_text(rule: str, keys: dict[str, Value]) -> str:
    """The line of a rule: its words, and `key=value` for each of `keys`. A `_` at the end of a key is left out, so
    that Python's own words can be keys: `for_="2s"`.
    """
    return " ".join([rule, *(f"{key.rstrip('_')}={value}" for key, value in keys.items())])


def tagged(rule: str) -> tuple[str, str]:
    """The rule with a tag of its own, unless it has one; and the tag. Tells rules of the same text apart."""
    for word in rule.split():
        if word.startswith("tag="):
            return rule, word[len("tag=") :]
    tag = f"py{os.getpid()}.{next(_numbers)}"
    return f"{rule} tag={tag}", tag


class Fault:
    """A rule that is armed on a disk. As a context manager it is disarmed at the end of the block."""

    def __init__(self, disk: Disk, text: str, tag: str) -> None:
        self.disk = disk
        self.text = text
        """Its line, as it was written."""
        self.tag = tag
        """Its `tag=`; one of its own unless the text has one."""
        self._armed = True
        self._last: Optional[RuleLine] = None

    def __enter__(self) -> Fault:
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        if kind is None:
            self.disarm()
            return
        self.disk.note_failure()
        try:
            self.disarm()
        except ProviumError as problem:  # The error of the block tells more.
            warnings.warn(f"cannot disarm {self.text}: {problem}", ProviumWarning, stacklevel=2)

    def __repr__(self) -> str:
        return f"<Fault {self.text!r} on {self.disk.path}>"

    @property
    def state(self) -> RuleLine:
        """The rule with its counters; after it was disarmed, what they were then."""
        if self._armed:
            self._last = self._look() or self._last
        if self._last is None:
            raise ProviumError(f"{self.text} is not armed any more: something else has removed it")
        return self._last

    @property
    def fired(self) -> int:
        """On how many requests it acted."""
        return self.state.fired

    def wait_fired(self, n: int = 1, timeout: float = 10.0) -> RuleLine:
        """Waits until it has acted on `n` requests, for `timeout` seconds at most."""

        def done() -> Optional[RuleLine]:
            state = self.state
            return state if state.fired >= n else None

        return wait_until(lambda: f"{_told(self.state)}, and {n} was waited for", done, timeout)

    def release(self, errno: Optional[str] = None) -> None:
        """Lets go the requests that it holds; they are served, or fail with `errno`."""
        self.disk.release(self.tag, errno)

    def disarm(self) -> None:
        """Removes the rule, which releases what it holds. A rule that is gone already is no error."""
        if not self._armed:
            return
        self._last = self._look() or self._last
        self.disk.control.write(f"{self.disk.id}/faults", f"!{self.text}\n")
        self._armed = False
        if self._last is not None:
            self.disk.history.append(self._last)

    def warn(self) -> None:
        """Warns if the rule can never act, or if there is something to know about it."""
        state = self.state
        if state.never is not None:
            warnings.warn(f"`{self.text}` can never act: {state.never}", ProviumWarning, stacklevel=4)
        elif state.note is not None:
            warnings.warn(f"`{self.text}`: {state.note}", ProviumWarning, stacklevel=4)

    def _look(self) -> Optional[RuleLine]:
        found = [line for line in self.disk.rules() if line.tag == self.tag]
        # Several rules may share a tag that the user has given. The server may spell this one otherwise.
        words = set(self.text.split())
        exact = [line for line in found if words <= set(line.rule.split())]
        return next(iter(exact or found), None)


def _told(state: RuleLine) -> str:
    never = f"; it can never act: {state.never}" if state.never else ""
    return f"`{state.rule}` has fired {state.fired} times{never}"
