"""What `bench` makes, servers, mounts and files, and that none of it stays when a signal ends the bench."""

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack, contextmanager

ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Seconds that a process may take to end when it is asked to.
PATIENCE = 60


class Signals:
    """The first signal ends the bench. It waits while something is made or taken away; later ones do nothing."""

    waits, come = False, None

    @classmethod
    def listen(cls):
        for number in ENDS:
            signal.signal(number, cls.end)

    @classmethod
    def end(cls, number, _):
        cls.come = number
        if not cls.waits:
            cls.exit()

    @classmethod
    def exit(cls):
        for number in ENDS:
            signal.signal(number, signal.SIG_IGN)
        sys.exit(128 + cls.come)


@contextmanager
def uninterrupted():
    """No signal ends the bench within the block."""
    was, Signals.waits = Signals.waits, True
    try:
        yield
    finally:
        Signals.waits = was
        if Signals.come and not was:
            Signals.exit()


class Made:
    """What one measurement has made. It is taken away, the last first, when that ends or the bench does."""

    def __init__(self):
        self.stack = ExitStack()
        atexit.register(self.take_away)

    def take_away(self):
        with uninterrupted():
            self.stack.close()

    def folder(self, storage):
        with uninterrupted():
            folder = tempfile.mkdtemp(prefix=f"provium-bench-{os.getpid()}-", dir=storage)
            self.stack.callback(shutil.rmtree, folder)
        return folder

    def process(self, command, **how):
        with uninterrupted():
            process = subprocess.Popen(command, **how)
            self.stack.callback(end, process)
        return process

    def mount(self, folder, *umount):
        """A folder that a server mounts on; the command unmounts it, if the server has not."""
        os.mkdir(folder)
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.stack.callback(subprocess.run, [*umount, folder], check=False, **quiet)


def end(process):
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
