"""The lines of control files as objects. Parsing is strict: a line that is not as documented is an error.

Times are in seconds, sectors have 512 bytes.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Optional, Union

from provium.errors import BadLineError

OPS = ("read", "write", "flush", "discard", "zero")
"""The kinds of requests."""

UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

_TIME = r"[0-9]+(?:\.[0-9]+)?(?:us|ms|s|m|h)"
_OP = "|".join(OPS)
_REQUEST = rf"(?P<op>{_OP}) (?P<sector>\d+) (?P<count>\d+)"
_RULE = re.compile(
    r"(?P<rule>.+?) considered=(?P<considered>\d+) matched=(?P<matched>\d+) fired=(?P<fired>\d+) "
    rf"left=(?P<left>\d+|-) age=(?P<age>{_TIME}) drawn_from=(?P<seed>\d+)(?P<woken> woken)?"
    r"(?: bad=(?P<bad>-|\d+\+\d+(?:,\d+\+\d+)*))?(?: healed=(?P<healed>\d+) refused=(?P<refused>\d+))?"
    r"(?: never: (?P<never>.*)| note: (?P<note>.*))?"
)
_IN_FLIGHT = re.compile(rf"{_REQUEST} (?P<age>{_TIME}) (?P<rules>.+)")
_PENDING = re.compile(rf"(?P<number>\d+) {_REQUEST} (?P<age>{_TIME})")
_DAMAGE = re.compile(r"(?P<sector>\d+) (?P<count>\d+) (?P<what>\S+) (?P<rule>.+)")
_UNLISTED = re.compile(r"# (?P<count>\d+) more are not listed")
_STAMP = r"(?P<sequence>\d+) (?P<time>\d+\.\d+)"
_ANSWERED = re.compile(rf"{_STAMP} {_REQUEST} (?P<verdict>\S+) (?P<latency>{_TIME}) (?P<rules>.+)")
_NOTED = re.compile(rf"{_STAMP} (?P<kind>mark|disk) (?P<text>.*)")
_DECISION = re.compile(
    rf"{_STAMP} {_REQUEST} touch=(?P<touch>\d+|-) rule=(?P<id>\d+) since=(?P<since>\d+) "
    r"(?P<rule>.+?) -> (?P<replay>.+?)(?: note: (?P<note>.*))?"
)
_LOST = re.compile(r"# (?P<count>\d+) lines were lost")
_OFF = re.compile(r"off kept=(?P<kept>\d+) lost=(?P<lost>\d+) seed=(?P<seed>\d+) cut=(?P<cut>\d+)")
_EVENT = re.compile(r"(?P<time>\d+\.\d+) (?P<id>\S+) (?P<what>.+)")
_STAT = re.compile(r"(?P<key>[a-z0-9_]+) (?P<value>\d+)")
_LOG = re.compile(r"(?P<log>.+?)(?: stopped: (?P<stopped>.*))?")


def _match(pattern: re.Pattern[str], what: str, line: str) -> re.Match[str]:
    found = pattern.fullmatch(line)
    if found is None:
        raise BadLineError(what, line)
    return found


def seconds(text: str) -> float:
    """The seconds that a time such as `50ms` means."""
    found = _match(re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>us|ms|s|m|h)"), "a time", text)
    return float(found["number"]) * UNITS[found["unit"]]


def _number(text: Optional[str]) -> Optional[int]:
    return None if text is None else int(text)


def _ranges(text: Optional[str]) -> Optional[tuple[tuple[int, int], ...]]:
    if text is None:
        return None
    ranges = [] if text == "-" else text.split(",")
    pairs = (each.split("+") for each in ranges)
    return tuple((int(start), int(count)) for start, count in pairs)


@dataclass(frozen=True)
class RuleLine:
    """A line of `rules`: an armed rule, and what it has done."""

    rule: str
    """Its text, as the server writes it."""
    considered: int
    """Requests of its operations and sectors."""
    matched: int
    """Requests that all its selectors match, except the counting ones."""
    fired: int
    """Requests on which it acted."""
    left: Optional[int]
    """What is left of `times=`."""
    age: float
    """Seconds since it was armed."""
    seed: int
    """The seed of its random numbers."""
    woken: bool
    """Whether the rule of its `when=` has fired and was removed."""
    never: Optional[str]
    """Why it can never act."""
    note: Optional[str]
    """What to know about it."""
    bad: Optional[tuple[tuple[int, int], ...]] = None
    """What is left bad of sectors that were found when it was armed: the first of each range, and how many."""
    healed: Optional[int] = None
    """Sectors that have healed, with `heal=`."""
    refused: Optional[int] = None
    """Writes that failed instead, with `heal=`."""

    @classmethod
    def parse(cls, line: str) -> RuleLine:
        """The rule of a line."""
        found = _match(_RULE, "a line of `rules`", line)
        left = found["left"]
        return cls(
            rule=found["rule"],
            considered=int(found["considered"]),
            matched=int(found["matched"]),
            fired=int(found["fired"]),
            left=None if left == "-" else int(left),
            age=seconds(found["age"]),
            seed=int(found["seed"]),
            woken=found["woken"] is not None,
            never=found["never"],
            note=found["note"],
            bad=_ranges(found["bad"]),
            healed=_number(found["healed"]),
            refused=_number(found["refused"]),
        )

    @property
    def tag(self) -> Optional[str]:
        """The value of its `tag=`."""
        words = self.rule.split()
        return next((word[4:] for word in words if word.startswith("tag=")), None)


@dataclass(frozen=True)
class InFlight:
    """A line of `inflight`: a request that is not answered."""

    op: str
    sector: int
    count: int
    age: float
    """Seconds since it arrived."""
    rules: Optional[str]
    """The rules that hold or delay it; None while it is served."""

    @classmethod
    def parse(cls, line: str) -> InFlight:
        """The request of a line."""
        found = _match(_IN_FLIGHT, "a line of `inflight`", line)
        rules = None if found["rules"] == "-" else found["rules"]
        return cls(found["op"], int(found["sector"]), int(found["count"]), seconds(found["age"]), rules)


@dataclass(frozen=True)
class Pending:
    """A line of `pending`: a request that was answered and is not durable."""

    number: int
    """Its number, as `power_cut(keep=[NUMBER])` takes it."""
    op: str
    sector: int
    count: int
    age: float
    """Seconds since it was answered."""

    @classmethod
    def parse(cls, line: str) -> Pending:
        """The request of a line."""
        found = _match(_PENDING, "a line of `pending`", line)
        place = int(found["sector"]), int(found["count"])
        return cls(int(found["number"]), found["op"], *place, seconds(found["age"]))


@dataclass(frozen=True)
class Damage:
    """A line of `damage`: sectors that a rule or a power cut left otherwise than they were written."""

    sector: int
    count: int
    what: str
    """One word: `lost`, `torn`, `corrupted`, `not-written`, `overwritten`, ..."""
    rule: str
    """The rule that did it, or `power`."""


@dataclass(frozen=True)
class Unlisted:
    """The last line of `damage` when it is full: this many more ranges are damaged."""

    count: int


def parse_damage(line: str) -> Union[Damage, Unlisted]:
    """A line of `damage`."""
    if line.startswith("#"):
        return Unlisted(int(_match(_UNLISTED, "a line of `damage`", line)["count"]))
    found = _match(_DAMAGE, "a line of `damage`", line)
    return Damage(int(found["sector"]), int(found["count"]), found["what"], found["rule"])


@dataclass(frozen=True)
class Answered:
    """A line of `trace`: a request that was answered."""

    sequence: int
    time: float
    """When it was answered, in seconds by the clock of `dmesg`."""
    op: str
    sector: int
    count: int
    verdict: str
    """`ok`, or what happened, as in `delayed+EIO`."""
    latency: float
    """Seconds from arrival to answer."""
    rules: tuple[str, ...]
    """The rules that acted on it."""

    @property
    def ok(self) -> bool:
        """Whether it was answered as if there were no rules."""
        return self.verdict == "ok"


@dataclass(frozen=True)
class Noted:
    """A line of `trace` between requests."""

    sequence: int
    time: float
    kind: str
    """`mark`, or `disk` for a power cut, its return, an eviction, a checkpoint or a stopped log."""
    text: str


@dataclass(frozen=True)
class Lost:
    """This many lines of `trace` are missing: the reader was too slow."""

    count: int


TraceLine = Union[Answered, Noted, Lost]
"""A line of `trace`."""


def parse_trace(line: str) -> TraceLine:
    """A line of `trace`."""
    if line.startswith("#"):
        return Lost(int(_match(_LOST, "a line of `trace`", line)["count"]))
    noted = _NOTED.fullmatch(line)
    if noted is not None:
        return Noted(int(noted["sequence"]), float(noted["time"]), noted["kind"], noted["text"])
    found = _match(_ANSWERED, "a line of `trace`", line)
    rules = () if found["rules"] == "-" else tuple(found["rules"].split("; "))
    return Answered(
        sequence=int(found["sequence"]),
        time=float(found["time"]),
        op=found["op"],
        sector=int(found["sector"]),
        count=int(found["count"]),
        verdict=found["verdict"],
        latency=seconds(found["latency"]),
        rules=rules,
    )


@dataclass(frozen=True)
class Decision:
    """A line of `decisions`: a rule that has acted on a request."""

    sequence: int
    time: float
    """When it was decided, in seconds by the clock of `dmesg`."""
    op: str
    sector: int
    count: int
    touch: Optional[int]
    """Which request it was of those that touch the same sectors, from 1; None if that is not known."""
    rule_id: int
    """The number of the rule among the edits of the disk's rules, from 0."""
    since: int
    """The sequence of the last decision before the rule was armed."""
    rule: str
    replay: Optional[str]
    """The rule that does the same to the same request of another run."""
    note: Optional[str]
    """Why the replay may differ."""


@dataclass(frozen=True)
class Remark:
    """A line of `decisions` about the stream itself: lines that were lost, or requests that are not counted."""

    text: str


DecisionLine = Union[Decision, Remark]
"""A line of `decisions`."""


def parse_decision(line: str) -> DecisionLine:
    """A line of `decisions`."""
    if line.startswith("# "):
        return Remark(line[2:])
    found = _match(_DECISION, "a line of `decisions`", line)
    return Decision(
        sequence=int(found["sequence"]),
        time=float(found["time"]),
        op=found["op"],
        sector=int(found["sector"]),
        count=int(found["count"]),
        touch=None if found["touch"] == "-" else int(found["touch"]),
        rule_id=int(found["id"]),
        since=int(found["since"]),
        rule=found["rule"],
        replay=None if found["replay"] == "-" else found["replay"],
        note=found["note"],
    )


@dataclass(frozen=True)
class Power:
    """The state of a disk's power."""

    on: bool
    kept: int = 0
    """Pending requests, or pieces of them, that have survived the cut."""
    lost: int = 0
    """Those that have not."""
    seed: int = 0
    """The seed that decided."""
    cut: int = 0
    """The number of the cut among those of the disk, from 1."""

    @classmethod
    def parse(cls, line: str) -> Power:
        """What `power` reads."""
        if line == "on":
            return cls(on=True)
        found = _match(_OFF, "the state of a disk's power", line)
        return cls(False, *(int(found[key]) for key in ("kept", "lost", "seed", "cut")))


@dataclass(frozen=True)
class Log:
    """What `log` reads while a disk has a write log."""

    path: str
    entries: int
    """Its entries, marks included."""
    size: int
    """Its length in bytes."""
    stopped: Optional[str]
    """Why it has ended by itself."""

    @classmethod
    def parse(cls, line: str) -> Optional[Log]:
        """The log of a line; None for `off`."""
        if line == "off":
            return None
        what = "a line of `log`"
        found = _match(_LOG, what, line)
        words = _words(what, found["log"])
        if len(words) != 3 or not words[1].startswith("entries=") or not words[2].startswith("bytes="):
            raise BadLineError(what, line)
        entries, size = words[1][len("entries=") :], words[2][len("bytes=") :]
        if not entries.isdigit() or not size.isdigit():
            raise BadLineError(what, line)
        return cls(words[0], int(entries), int(size), found["stopped"])


@dataclass(frozen=True)
class DiskLine:
    """A line of `ctl/disks`."""

    id: str
    size: Optional[int]
    """In bytes; None if the host cannot tell it."""
    readonly: bool
    image: str
    options: tuple[str, ...]
    """Such as `fixed` and `cache=volatile`."""

    @classmethod
    def parse(cls, line: str) -> DiskLine:
        """The disk of a line."""
        what = "a line of `ctl/disks`"
        words = _words(what, line)
        if len(words) < 4 or words[2] not in ("rw", "ro") or not (words[1].isdigit() or words[1] == "-"):
            raise BadLineError(what, line)
        size = None if words[1] == "-" else int(words[1])
        return cls(words[0], size, words[2] == "ro", words[3], tuple(words[4:]))


@dataclass(frozen=True)
class Event:
    """A line of `ctl/events`: a power cut, its return, an eviction, a checkpoint, a stopped log."""

    time: float
    """In seconds by the clock of `dmesg`."""
    id: str
    """The disk."""
    what: str

    @classmethod
    def parse(cls, line: str) -> Event:
        """The event of a line."""
        found = _match(_EVENT, "a line of `ctl/events`", line)
        return cls(float(found["time"]), found["id"], found["what"])


def parse_stats(text: str) -> dict[str, int]:
    """The text of `stats`."""
    found = (_match(_STAT, "a line of `stats`", line) for line in text.splitlines())
    return {line["key"]: int(line["value"]) for line in found}


def _words(what: str, line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError as error:
        raise BadLineError(what, line) from error
