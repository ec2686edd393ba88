//! The system calls that std does not offer, each behind a safe function.
//!
//! This is the only file with `unsafe` in it.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Turns the `-1` of a C call into the error that `errno` holds.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// `fallocate(2)`: `offset` and `len` in bytes, `mode` as in `FALLOC_FL_*`.
pub fn fallocate(file: &File, mode: i32, offset: u64, len: u64) -> io::Result<()> {
    let (offset, len) = (to_off(offset)?, to_off(len)?);
    // SAFETY: the descriptor is open for as long as `file` is borrowed; no memory is passed.
    check(unsafe { libc::fallocate(file.as_raw_fd(), mode, offset, len) }).map(drop)
}

/// `lseek(2)` with `SEEK_DATA` or `SEEK_HOLE`; ENXIO when `offset` is at or past the end.
pub fn seek_extent(file: &File, offset: u64, whence: i32) -> io::Result<u64> {
    let offset = to_off(offset)?;
    // SAFETY: the descriptor is open for as long as `file` is borrowed; no memory is passed.
    let found = unsafe { libc::lseek(file.as_raw_fd(), offset, whence) };
    u64::try_from(found).map_err(|_| io::Error::last_os_error())
}

fn to_off(value: u64) -> io::Result<libc::off_t> {
    libc::off_t::try_from(value).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))
}

/// Reads a `u64` that an ioctl of the `_IOR` kind fills in.
pub fn ioctl_read_u64(file: &File, request: u64) -> io::Result<u64> {
    let mut value = 0u64;
    // SAFETY: `request` is an `_IOR(.., u64)` code, so the kernel writes at most 8 bytes to `value`.
    check(unsafe { libc::ioctl(file.as_raw_fd(), request as _, &raw mut value) })?;
    Ok(value)
}

/// Another device for the FUSE connection of `device`, which requests may come through too.
pub fn clone_fuse_device(device: &impl AsFd) -> io::Result<OwnedFd> {
    /// `_IOR(229, 0, u32)`.
    const FUSE_DEV_IOC_CLONE: u64 = 0x8004_e500;
    let clone = File::options().read(true).write(true).open("/dev/fuse")?;
    let source = device.as_fd().as_raw_fd() as u32;
    // SAFETY: the kernel reads 4 bytes of `source`; both descriptors are open through the call.
    check(unsafe {
        libc::ioctl(
            clone.as_raw_fd(),
            FUSE_DEV_IOC_CLONE as _,
            &raw const source,
        )
    })?;
    Ok(clone.into())
}

/// Gives this thread a table of descriptors of its own, in which `fd` alone is open. To be called on a thread
/// that closes nothing else.
pub fn keep_only(fd: &impl AsFd) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd() as u32;
    let close = |first: u32, last: u32, flags: u32| {
        // SAFETY: takes integers. After the first call the table is this thread's own, and nobody else
        // misses what is closed in it.
        check(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) } as libc::c_int)
    };
    close(fd + 1, u32::MAX, libc::CLOSE_RANGE_UNSHARE)?;
    match fd {
        0 => Ok(()),
        _ => close(0, fd - 1, 0).map(drop),
    }
}

/// The time since the machine began, by the clock that the kernel's log goes by.
pub fn monotonic() -> Duration {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel fills in one valid timespec; this clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// The user that this process acts as.
pub fn uid() -> u32 {
    // SAFETY: geteuid has no preconditions and cannot fail.
    unsafe { libc::geteuid() }
}

/// The group that this process acts as.
pub fn gid() -> u32 {
    // SAFETY: getegid has no preconditions and cannot fail.
    unsafe { libc::getegid() }
}

/// Ends the connection between the file system at `mount` and its server: whoever waits for it gets an
/// error. For root.
pub fn abort_mount(mount: &Path) -> io::Result<()> {
    let path = CString::new(mount.as_os_str().as_bytes())?;
    let flags = libc::MNT_FORCE | libc::UMOUNT_NOFOLLOW;
    // SAFETY: `path` is a NUL-terminated string that lives through the call.
    check(unsafe { libc::umount2(path.as_ptr(), flags) }).map(drop)
}

/// Unmounts `mount`; with `lazy` it disappears at once even while files in it are open.
pub fn unmount(mount: &Path, lazy: bool) -> io::Result<()> {
    let path = CString::new(mount.as_os_str().as_bytes())?;
    let flags = if lazy { libc::MNT_DETACH } else { 0 } | libc::UMOUNT_NOFOLLOW;
    // SAFETY: `path` is a NUL-terminated string that lives through the call.
    check(unsafe { libc::umount2(path.as_ptr(), flags) }).map(drop)
}

/// Makes the child that `command` starts receive `signal` when the thread that starts it ends.
///
/// Start it from a thread that lives as long as the child should (design trap: the signal is
/// bound to the thread, not to the process).
pub fn die_with_starter(command: &mut Command, signal: i32) {
    let starter = std::process::id();
    // SAFETY: the closure only makes async-signal-safe calls (prctl, getppid, _exit).
    unsafe {
        command.pre_exec(move || {
            check(libc::prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong))?;
            // The starter may have died between fork and prctl; then no signal would ever come.
            if libc::getppid() as u32 != starter {
                libc::_exit(1);
            }
            Ok(())
        });
    }
}

/// Makes this process ignore `signal`, and the children that it starts.
pub fn ignore(signal: i32) {
    // SAFETY: SIG_IGN runs no code of ours; an unknown signal changes nothing.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Whether this process ignores `signal`.
pub fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is changed; `action` has room for what is, and is read only if it was filled in.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Makes this process end, silently, when nobody reads what it prints any more.
pub fn end_with_reader() {
    // SAFETY: SIG_DFL runs no code of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Makes TERM kill this process with its whole process group: with all that it has started and that
/// did not leave for a group of its own.
pub fn end_with_group() {
    extern "C" fn kill_group(_: libc::c_int) {
        // SAFETY: kill is async-signal-safe; group 0 is that of this process.
        unsafe { libc::kill(0, libc::SIGKILL) };
    }
    let handler = kill_group as extern "C" fn(libc::c_int);
    // SAFETY: the handler makes one async-signal-safe call and does not return from it.
    unsafe { libc::signal(libc::SIGTERM, handler as libc::sighandler_t) };
}

/// Kills the process group that `leader` leads. The caller has not waited for the leader yet, so
/// that its number is not used again.
pub fn kill_group(leader: u32) {
    // SAFETY: takes two integers.
    unsafe { libc::kill(-(leader as libc::pid_t), libc::SIGKILL) };
}

/// Undoes [`die_with_starter`] and [`end_with_group`] for this process.
pub fn outlive_starter() -> io::Result<()> {
    // SAFETY: SIG_DFL runs no code of ours.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_DFL) };
    // SAFETY: this option takes an integer only.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0) }).map(drop)
}

/// Has the main thread of this process undo [`die_with_starter`] when it gets `signal`, whatever it is
/// busy with.
pub fn outlive_starter_on(signal: i32) {
    extern "C" fn outlive(_: libc::c_int) {
        // SAFETY: prctl is async-signal-safe, and this option takes an integer only.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0) };
    }
    let handler = outlive as extern "C" fn(libc::c_int);
    // SAFETY: the handler makes one async-signal-safe call.
    unsafe { libc::signal(signal, handler as libc::sighandler_t) };
}

/// Sends `signal` to the main thread of the child `pid`, which was not waited for yet.
pub fn signal_main_thread(pid: u32, signal: i32) -> io::Result<()> {
    let pid = pid as libc::pid_t;
    // SAFETY: takes three integers.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, pid, pid, signal) };
    check(sent as libc::c_int).map(drop)
}

/// Makes the child that `command` starts the leader of a session of its own.
pub fn new_session(command: &mut Command) {
    // SAFETY: setsid is async-signal-safe and takes no memory.
    unsafe {
        command.pre_exec(|| check(libc::setsid()).map(drop));
    }
}

/// Passes `fd` on to the child that `command` starts, under the same number.
///
/// The caller keeps `fd` open until the child is started.
pub fn inherit(command: &mut Command, fd: BorrowedFd<'_>) {
    let fd = fd.as_raw_fd();
    // SAFETY: fcntl is async-signal-safe; a stale number makes it fail, which fails the start.
    unsafe {
        command.pre_exec(move || check(libc::fcntl(fd, libc::F_SETFD, 0)).map(drop));
    }
}

/// Takes over a descriptor that the parent process passed on with [`inherit`].
///
/// The number becomes close-on-exec again, so that it goes no further.
pub fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl takes no memory; on an invalid number it fails and nothing is taken over.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: the number is open (checked above) and by protocol belongs to this process alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Waits until `fd` can be read (data or end of file); false when `timeout` passed first.
pub fn wait_readable(fd: impl AsFd, timeout: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + timeout;
    let mut poll = libc::pollfd {
        fd: fd.as_fd().as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let millis = left.as_micros().div_ceil(1000).min(i32::MAX as u128) as i32;
        // SAFETY: `poll` is one valid pollfd that lives through the call.
        match check(unsafe { libc::poll(&raw mut poll, 1, millis) }) {
            Ok(ready) => return Ok(ready > 0),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Waits until a file of /proc that shows a table of the kernel's, as `mountinfo` does, shows another one
/// than when it was opened or waited for last.
pub fn wait_changed(table: &File) -> io::Result<()> {
    let mut poll = libc::pollfd {
        fd: table.as_raw_fd(),
        events: libc::POLLPRI,
        revents: 0,
    };
    loop {
        // SAFETY: `poll` is one valid pollfd that lives through the call.
        match check(unsafe { libc::poll(&raw mut poll, 1, -1) }) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map(drop),
        }
    }
}

/// Whether `fd` can be read, or has come to its end. Asks once; false too when it cannot tell.
pub fn is_readable(fd: impl AsFd) -> bool {
    wait_readable(fd, Duration::ZERO).unwrap_or(false)
}

/// Locks all of `file` until this process ends, or closes a descriptor of it (`fcntl(2)`): children do
/// not inherit it. EAGAIN or EACCES where another process has it.
pub fn lock_for_life(file: &File) -> io::Result<()> {
    let lock = whole_file();
    // SAFETY: the kernel reads one valid flock.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const lock) }).map(drop)
}

/// The process that has locked `file` with [`lock_for_life`], by its number in this PID namespace; 0
/// where it has none here.
pub fn lock_holder(file: &File) -> io::Result<Option<u32>> {
    let mut lock = whole_file();
    // SAFETY: the kernel reads and writes one valid flock.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &raw mut lock) })?;
    let is_free = i32::from(lock.l_type) == libc::F_UNLCK;
    Ok((!is_free).then_some(u32::try_from(lock.l_pid).unwrap_or(0)))
}

fn whole_file() -> libc::flock {
    libc::flock {
        l_type: libc::F_WRLCK as _,
        l_whence: libc::SEEK_SET as _,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// A handle on a process that stays valid when its number is used again.
#[derive(Debug)]
pub struct Process(OwnedFd);

impl Process {
    /// Opens the process with number `pid`; ESRCH when there is none.
    pub fn open(pid: u32) -> io::Result<Self> {
        // SAFETY: pidfd_open takes two integers and returns a new descriptor.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
        check(fd as libc::c_int)?;
        // SAFETY: the call succeeded, so `fd` is an open descriptor that nothing else owns.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }))
    }

    /// Whether the process with number `pid` runs; one that has ended and was not waited for yet
    /// does not.
    pub fn is_running(pid: u32) -> bool {
        match Self::open(pid) {
            Ok(process) => !process.wait(Duration::ZERO).unwrap_or(false),
            // Where it cannot be told, it is not taken for dead.
            Err(error) => error.raw_os_error() != Some(libc::ESRCH),
        }
    }

    /// Sends `signal`.
    pub fn signal(&self, signal: i32) -> io::Result<()> {
        // SAFETY: a null siginfo is allowed; the other arguments are integers.
        let sent = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                signal,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        check(sent as libc::c_int).map(drop)
    }

    /// Waits until the process has ended; false when `timeout` passed first.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        wait_readable(&self.0, timeout)
    }
}

/// The terminal on standard input, taken over byte by byte: no echo, no lines, no signals from
/// keys. Dropping it gives the terminal back as it was.
pub struct RawTerminal(libc::termios);

impl RawTerminal {
    /// None where standard input is no terminal.
    pub fn enter() -> Option<Self> {
        let mut old = std::mem::MaybeUninit::uninit();
        // SAFETY: `old` has room for a termios; it is read only when the call has filled it in.
        let old = unsafe {
            if libc::tcgetattr(libc::STDIN_FILENO, old.as_mut_ptr()) != 0 {
                return None;
            }
            old.assume_init()
        };
        let mut raw = old;
        // SAFETY: both calls get a valid termios that lives through them.
        unsafe {
            libc::cfmakeraw(&raw mut raw);
            libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &raw const raw);
        }
        Some(Self(old))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // SAFETY: a valid termios that lives through the call.
        unsafe { libc::tcsetattr(libc::STDIN_FILENO, libc::TCSANOW, &raw const self.0) };
    }
}

/// Has the heap hold about `len` bytes of memory that the kernel has already found and cleared, and
/// keep what is freed: buffers of a few MiB then cost no page faults. In huge pages where there are
/// any, so that a fork does not undo it. To be called from the main thread, whose heap it is.
pub fn warm_heap(len: usize) {
    const HUGE_PAGE: usize = 2 << 20;
    /// The largest that the allocator takes: what is smaller lies in its heap.
    const LARGEST: usize = 32 << 20;
    // SAFETY: sets parameters of the allocator, which takes its own lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGEST as i32);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
    let part = || {
        let mut memory = Vec::<u8>::with_capacity(LARGEST / 2);
        let start = memory.as_mut_ptr();
        let skip = start.align_offset(HUGE_PAGE).min(LARGEST / 2);
        // SAFETY: the range lies within `memory`, whose content the advice does not change; where
        // there are no huge pages it is refused, which does no harm.
        unsafe {
            libc::madvise(
                start.add(skip).cast(),
                LARGEST / 2 - skip,
                libc::MADV_HUGEPAGE,
            )
        };
        memory.resize(LARGEST / 2, 1);
        memory
    };
    let parts: Vec<_> = (0..len.div_ceil(LARGEST / 2)).map(|_| part()).collect();
    std::hint::black_box(parts);
}
