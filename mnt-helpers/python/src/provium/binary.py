"""The `provium` command, and what a mount needs of the machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Optional

from provium.errors import CommandError, MissingError

FUSE = Path("/dev/fuse")


def find_binary() -> str:
    """The command: `$PROVIUM`, or `provium` in the PATH."""
    named = os.environ.get("PROVIUM")
    found = shutil.which(named or "provium")
    if found is None:
        where = f"$PROVIUM is {named!r}, which is no program" if named else "it is not in the PATH"
        raise MissingError(f"there is no provium: {where} (set PROVIUM to the path of the binary)")
    return found


def what_is_missing() -> Optional[str]:
    """Why this machine cannot mount; None if it can."""
    try:
        find_binary()
    except MissingError as error:
        return str(error)
    if not os.access(FUSE, os.R_OK | os.W_OK):
        why = "this user may not open it" if FUSE.exists() else "it is not there"
        return f"{FUSE}: {why} (`provium doctor` says what to do)"
    return None


def run(*args: str, timeout: float = 60.0) -> str:
    """Runs `provium ARGS` and returns what it prints."""
    command = [find_binary(), *args]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise CommandError(command, -1, f"no end after {timeout:g} s") from error
    if done.returncode != 0:
        raise CommandError(command, done.returncode, done.stderr)
    return done.stdout
