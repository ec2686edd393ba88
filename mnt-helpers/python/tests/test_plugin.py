"""The pytest plugin: what a failed test shows, and what happens without provium."""

from __future__ import annotations

import pytest

FAILING = """
import threading

def test_it(disk):
    disk.write(4, b"x" * 1024)
    hang = disk.fault("hang op=read tag=stuck")
    threading.Thread(target=disk.read, args=(3,), daemon=True).start()
    hang.wait_fired()
    with disk.fault("eio_write at=4+1", times=1):
        assert can_write(disk)

def can_write(disk):
    try:
        disk.write(4, bytes(512))
    except OSError:
        return False
"""


def run(pytester: pytest.Pytester, *args: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *args)


def test_failure_shows_rules_held_requests_and_the_last_io(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(FAILING)
    result = run(pytester)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*- disk vda -*",
            "*/mnt/vda, 67108864 bytes",
            "armed: hang op=read * tag=stuck -- fired once of 1 matching requests",
            "disarmed: eio_write at=4+1 times=1 tag=* -- fired once of 1 matching requests",
            "in flight: read 3+1 waits for hang op=read *tag=stuck, since * s",
            "the last 2 requests:",
            "  * write 4+2 ok * ms",
            "  * write 4+1 EIO * ms by eio_write at=4+1 times=1 tag=*",
        ]
    )


def test_test_that_passes_shows_no_disk(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_it(disk): disk.read(0)")
    result = run(pytester)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*disk vda*")


@pytest.mark.parametrize("name", ["PROVIUM", "PATH"])
def test_without_provium_tests_are_skipped_and_in_ci_an_error(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("PROVIUM", raising=False)
    monkeypatch.setenv(name, "/no/such/program")
    monkeypatch.delenv("CI", raising=False)
    pytester.makepyfile("def test_it(disk): pass")
    result = run(pytester, "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED *there is no provium: *"])
    monkeypatch.setenv("CI", "true")
    result = run(pytester)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*CI lacks what the test needs: there is no provium: *"])


def test_mark_says_how_the_disk_is_made(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.disk(size="2M", cache="volatile", fixed=False)
        def test_it(disk, provium_mount):
            (line,) = provium_mount.disk_lines()
            assert (line.size, line.options) == (2 << 20, ("cache=volatile",))

        @pytest.mark.disk(siez="2M")
        def test_typo(disk):
            pass
        """
    )
    result = run(pytester, "--strict-markers")
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*@pytest.mark.disk: siez='2M' (valid: size=*"])
