"""Lines of control files: read as they are documented, and nothing else is taken."""

from __future__ import annotations

from typing import Callable

import pytest

from provium import lines
from provium.errors import BadLineError

GOOD: list[tuple[Callable[[str], object], str, object]] = [
    (
        lines.RuleLine.parse,
        "slow considered=3 matched=2 fired=1 left=- age=1500ms drawn_from=0",
        lines.RuleLine("slow", 3, 2, 1, None, 1.5, 0, False, None, None),
    ),
    (
        lines.RuleLine.parse,
        "lose when=a tag=b considered=0 matched=0 fired=0 left=2 age=1m drawn_from=7 woken never: no rule `a`",
        lines.RuleLine("lose when=a tag=b", 0, 0, 0, 2, 60.0, 7, True, "no rule `a`", None),
    ),
    (
        lines.RuleLine.parse,
        "eio_read heal=write considered=0 matched=0 fired=0 left=- age=1s drawn_from=7 bad=8+1,12+4 healed=3 refused=1",
        lines.RuleLine("eio_read heal=write", 0, 0, 0, None, 1.0, 7, False, None, None, ((8, 1), (12, 4)), 3, 1),
    ),
    (
        lines.RuleLine.parse,
        "slow sectors=2 considered=0 matched=0 fired=0 left=- age=1s drawn_from=7 bad=- never: why",
        lines.RuleLine("slow sectors=2", 0, 0, 0, None, 1.0, 7, False, "why", None, ()),
    ),
    (lines.InFlight.parse, "read 8 1 2000.0ms -", lines.InFlight("read", 8, 1, 2.0, None)),
    (lines.InFlight.parse, "flush 0 0 1.5s hang; slow", lines.InFlight("flush", 0, 0, 1.5, "hang; slow")),
    (lines.Pending.parse, "7 discard 0 614400 1.5ms", lines.Pending(7, "discard", 0, 614400, 0.0015)),
    (lines.parse_damage, "0 8 lost power", lines.Damage(0, 8, "lost", "power")),
    (lines.parse_damage, "# 7 more are not listed", lines.Unlisted(7)),
    (
        lines.parse_trace,
        "18 9.5 write 0 1 delayed+lost 50ms slow; lose op=write",
        lines.Answered(18, 9.5, "write", 0, 1, "delayed+lost", 0.05, ("slow", "lose op=write")),
    ),
    (lines.parse_trace, "1 1.5 mark after mkfs", lines.Noted(1, 1.5, "mark", "after mkfs")),
    (lines.parse_trace, "2 1.5 disk on", lines.Noted(2, 1.5, "disk", "on")),
    (lines.parse_trace, "# 7 lines were lost", lines.Lost(7)),
    (
        lines.parse_decision,
        "3 1.5 write 8 8 touch=3 rule=0 since=1 slow -> delay op=write by=50ms at=8+8 skip=2 times=1 note: why",
        lines.Decision(3, 1.5, "write", 8, 8, 3, 0, 1, "slow", "delay op=write by=50ms at=8+8 skip=2 times=1", "why"),
    ),
    (
        lines.parse_decision,
        "3 1.5 flush 0 0 touch=- rule=0 since=1 lose op=flush -> -",
        lines.Decision(3, 1.5, "flush", 0, 0, None, 0, 1, "lose op=flush", None, None),
    ),
    (lines.parse_decision, "# 7 lines were lost", lines.Remark("7 lines were lost")),
    (lines.Power.parse, "on", lines.Power(on=True)),
    (lines.Power.parse, "off kept=1 lost=2 seed=3 cut=4", lines.Power(False, 1, 2, 3, 4)),
    (lines.Log.parse, "off", None),
    (lines.Log.parse, "'/two words' entries=2 bytes=1024", lines.Log("/two words", 2, 1024, None)),
    (lines.Log.parse, "/a entries=0 bytes=1 stopped: full", lines.Log("/a", 0, 1, "full")),
    (lines.DiskLine.parse, "vda - ro '/a b' fixed", lines.DiskLine("vda", None, True, "/a b", ("fixed",))),
    (lines.Event.parse, "0.500000 v.1 on", lines.Event(0.5, "v.1", "on")),
    (lines.parse_stats, "read_requests 1\nin_flight 0\n", {"read_requests": 1, "in_flight": 0}),
]


@pytest.mark.parametrize(("parse", "line", "expected"), GOOD, ids=[line for _, line, _ in GOOD])
def test_line_is_read(parse: Callable[[str], object], line: str, expected: object) -> None:
    assert parse(line) == expected


BAD: list[tuple[Callable[[str], object], str]] = [
    (lines.RuleLine.parse, "slow"),
    (lines.RuleLine.parse, "slow considered=1 matched=1 fired=x left=- age=0s drawn_from=0"),
    (lines.RuleLine.parse, "slow considered=1 matched=1 fired=1 left=- age=0s drawn_from=0 more"),
    (lines.InFlight.parse, "erase 1 2 3ms -"),
    (lines.InFlight.parse, "read 1 2 3 -"),
    (lines.Pending.parse, "1 write 8 8 1.5ms x"),
    (lines.parse_damage, "x 2 lost lose"),
    (lines.parse_damage, "# more are not listed"),
    (lines.parse_trace, "1 1.0 read 1 8 ok 1.500ms"),
    (lines.parse_trace, "# lines were lost"),
    (lines.parse_decision, "1 1.5 write 8 8 touch=3 rule=0 since=1 slow"),
    (lines.parse_decision, "1 1.5 write 8 8 touch=x rule=0 since=1 slow -> slow"),
    (lines.Power.parse, "off"),
    (lines.Log.parse, "/a entries=x bytes=1"),
    (lines.Log.parse, "'/a entries=1 bytes=1"),
    (lines.DiskLine.parse, "vda 1 rw"),
    (lines.DiskLine.parse, "vda 1 both /a"),
    (lines.Event.parse, "x vda on"),
    (lines.parse_stats, "read_requests many"),
    (lines.seconds, "5"),
]


@pytest.mark.parametrize(("parse", "line"), BAD, ids=[line for _, line in BAD])
def test_line_that_is_not_as_documented_is_an_error(parse: Callable[[str], object], line: str) -> None:
    with pytest.raises(BadLineError, match="is not "):
        parse(line)
