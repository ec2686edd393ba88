"""Kernel AIO for the tests: `aio.py direct|buffered PATH OFFSET LEN [run] [stat]` prints what a read returns, and the first
bytes that it read. Before it reads, it runs the command in $RUN, and asks for the size."""

import ctypes
import mmap
import os
import struct
import sys
import time

SETUP, GETEVENTS, SUBMIT = {"x86_64": (206, 208, 209), "aarch64": (0, 4, 2)}[os.uname().machine]
PREAD = 0
libc = ctypes.CDLL(None, use_errno=True)


def read(file, offset, length):
    context = ctypes.c_ulong(0)
    assert libc.syscall(SETUP, 1, ctypes.byref(context)) == 0
    memory = mmap.mmap(-1, length)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    block = struct.pack("QIIHhIQQqQII", 1, 0, 0, PREAD, 0, file, address, length, offset, 0, 0, 0)
    block = ctypes.create_string_buffer(block, 64)
    pointer = ctypes.c_void_p(ctypes.addressof(block))
    if libc.syscall(SUBMIT, context, 1, ctypes.byref(pointer)) != 1:
        return -ctypes.get_errno(), b""
    event = ctypes.create_string_buffer(32)
    assert libc.syscall(GETEVENTS, context, 1, 1, event, None) == 1
    result = struct.unpack("QQqq", event.raw)[2]
    return result, memory[: max(0, min(result, 1000))]


how, path, offset, length = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
file = os.open(path, os.O_RDONLY | (os.O_DIRECT if how == "direct" else 0))
if "run" in sys.argv:
    os.system(os.environ["RUN"])
if "stat" in sys.argv:
    # A busy machine may be told the size of a moment ago.
    until = time.monotonic() + 5
    while os.fstat(file).st_size <= offset and time.monotonic() < until:
        time.sleep(0.01)
result, data = read(file, offset, length)
print(result)
sys.stdout.write(data.decode("latin-1"))
