//! The system calls that std does not offer, each behind a safe function: through rustix where it has the
//! call.
//!
//! This is the only file with `unsafe` in it.
#![allow(unsafe_code)]

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::ptr::null_mut;
use std::time::Duration;

use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Signal, set_parent_process_death_signal};

/// Turns the `-1` of a C call into the error that `errno` holds.
fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// `fallocate(2)`: `offset` and `len` in bytes, `mode` as in `libc::FALLOC_FL_*`.
pub fn fallocate(file: &File, mode: i32, offset: u64, len: u64) -> io::Result<()> {
    let mode = FallocateFlags::from_bits_retain(mode as u32);
    let (offset, len) = (check_offset(offset)?, check_offset(len)?);
    Ok(rustix::fs::fallocate(file, mode, offset, len)?)
}

/// `lseek(2)` to the next byte that is stored, at `offset` or after it; ENXIO when none follows.
pub fn seek_data(file: &File, offset: u64) -> io::Result<u64> {
    let offset = check_offset(offset)?;
    Ok(rustix::fs::seek(file, SeekFrom::Data(offset))?)
}

/// `lseek(2)` to the next hole, at `offset` or after it; ENXIO when `offset` is at or past the end. The end
/// counts as a hole.
pub fn seek_hole(file: &File, offset: u64) -> io::Result<u64> {
    let offset = check_offset(offset)?;
    Ok(rustix::fs::seek(file, SeekFrom::Hole(offset))?)
}

/// The kernel's offsets are signed: EFBIG for a larger one.
fn check_offset(value: u64) -> io::Result<u64> {
    match i64::try_from(value) {
        Ok(_) => Ok(value),
        Err(_) => Err(io::Error::from_raw_os_error(libc::EFBIG)),
    }
}

/// Reads a `u64` that an ioctl of the `_IOR` kind fills in.
pub fn ioctl_read_u64(file: &File, request: u64) -> io::Result<u64> {
    let mut value = 0u64;
    // SAFETY: `request` is an `_IOR(.., u64)` code, so the kernel writes at most 8 bytes to `value`.
    check(unsafe { libc::ioctl(file.as_raw_fd(), request as _, &raw mut value) })?;
    Ok(value)
}

/// A lock on one byte of a file, for as long as the open file lives (`F_OFD_SETLK`).
fn byte_lock(file: &File, command: i32, kind: i32, byte: i64) -> io::Result<libc::flock> {
    // SAFETY: integers alone, for all of which zero is a value.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind as _;
    lock.l_whence = libc::SEEK_SET as _;
    lock.l_start = byte as _;
    lock.l_len = 1;
    // SAFETY: the kernel reads and writes one `flock`, which outlives the call.
    check(unsafe { libc::fcntl(file.as_raw_fd(), command, &raw mut lock) })?;
    Ok(lock)
}

/// Has a shared lock on this byte, which need not be there.
pub fn share_byte(file: &File, byte: i64) -> io::Result<()> {
    byte_lock(file, libc::F_OFD_SETLK, libc::F_RDLCK, byte).map(drop)
}

/// Has no lock on this byte any more.
pub fn unlock_byte(file: &File, byte: i64) -> io::Result<()> {
    byte_lock(file, libc::F_OFD_SETLK, libc::F_UNLCK, byte).map(drop)
}

/// Whether another open file has a lock on this byte.
pub fn is_byte_locked(file: &File, byte: i64) -> io::Result<bool> {
    let found = byte_lock(file, libc::F_OFD_GETLK, libc::F_WRLCK, byte)?;
    Ok(i32::from(found.l_type) != libc::F_UNLCK)
}

/// Opens another descriptor for the FUSE connection of `device`. The kernel may send requests through it
/// too.
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

/// Gives this thread a descriptor table of its own, in which `fd` alone is open. The calling thread must
/// not close any other descriptor afterwards.
pub fn keep_only(fd: &impl AsFd) -> io::Result<()> {
    let fd = fd.as_fd().as_raw_fd() as u32;
    let close = |first: u32, last: u32, flags: u32| {
        // SAFETY: takes integers. After the first call the table belongs to this thread alone, and
        // no other thread misses the descriptors that are closed in it.
        check(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) } as libc::c_int)
    };
    close(fd + 1, u32::MAX, libc::CLOSE_RANGE_UNSHARE)?;
    match fd {
        0 => Ok(()),
        _ => close(0, fd - 1, 0).map(drop),
    }
}

/// Whether this thread has CAP_SYS_ADMIN, by which root mounts.
pub fn may_mount() -> bool {
    use rustix::thread::{CapabilitySet, capabilities};
    let sets = capabilities(None);
    sets.is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN))
}

/// The time since the machine started (`CLOCK_MONOTONIC`, which the kernel's log uses too).
pub fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// The effective user of this process.
pub fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// The effective group of this process.
pub fn gid() -> u32 {
    rustix::process::getegid().as_raw()
}

/// Sends `signal` to the child that `command` starts when the thread that starts it ends.
///
/// Start the child from a thread that lives as long as the child should: the kernel binds the signal to
/// that thread, not to its process.
pub fn die_with_starter(command: &mut Command, signal: i32) {
    let starter = std::process::id();
    let signal = Signal::from_named_raw(signal);
    // SAFETY: the closure makes system calls only (prctl, getppid), and takes no memory.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(signal)?;
            // The starter may have ended between fork and prctl. No signal would come then.
            let parent = rustix::process::getppid().map(|parent| parent.as_raw_pid() as u32);
            match parent == Some(starter) {
                true => Ok(()),
                false => Err(io::Error::from_raw_os_error(libc::ESRCH)),
            }
        });
    }
}

/// Makes this process, and the children that it starts, ignore `signal`.
pub fn ignore(signal: i32) {
    // SAFETY: SIG_IGN runs no code of ours; an unknown signal changes nothing.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Whether this process ignores `signal`.
pub fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: the call changes nothing; `action` has room for its answer, and is read only if the call
    // has filled it in.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Makes this process end, without a message, when the reader of its output has ended (SIGPIPE).
pub fn end_with_reader() {
    // SAFETY: SIG_DFL runs no code of ours.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

/// Makes SIGTERM kill the whole process group of this process: all processes that it has started and
/// that did not move to a group of their own.
pub fn end_with_group() {
    extern "C" fn kill_group(_: libc::c_int) {
        let _ = rustix::process::kill_current_process_group(Signal::KILL);
    }
    let handler = kill_group as extern "C" fn(libc::c_int);
    // SAFETY: the handler makes one system call and does not return from it.
    unsafe { libc::signal(libc::SIGTERM, handler as libc::sighandler_t) };
}

/// Undoes [`die_with_starter`] and [`end_with_group`] for this process.
pub fn outlive_starter() -> io::Result<()> {
    // SAFETY: SIG_DFL runs no code of ours.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_DFL) };
    Ok(set_parent_process_death_signal(None)?)
}

/// Has the main thread of this process undo [`die_with_starter`] when it receives `signal`, even if it
/// is busy.
pub fn outlive_starter_on(signal: i32) {
    extern "C" fn outlive(_: libc::c_int) {
        let _ = set_parent_process_death_signal(None);
    }
    let handler = outlive as extern "C" fn(libc::c_int);
    // SAFETY: the handler makes one system call, which leaves `errno` alone.
    unsafe { libc::signal(signal, handler as libc::sighandler_t) };
}

/// Sends `signal` to the main thread of the child `pid`, for which nobody has waited yet.
pub fn signal_main_thread(pid: u32, signal: i32) -> io::Result<()> {
    let pid = pid as libc::pid_t;
    // SAFETY: takes three integers.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, pid, pid, signal) };
    check(sent as libc::c_int).map(drop)
}

/// Makes the child that `command` starts the leader of a session of its own.
pub fn new_session(command: &mut Command) {
    // SAFETY: the closure makes one system call and takes no memory.
    unsafe {
        command.pre_exec(|| Ok(rustix::process::setsid().map(drop)?));
    }
}

/// Passes `fd` on to the child that `command` starts, under the same number.
///
/// The caller keeps `fd` open until the child has started.
pub fn inherit(command: &mut Command, fd: BorrowedFd<'_>) {
    let fd = fd.as_raw_fd();
    // SAFETY: the closure makes one system call. The number is that of an open descriptor; if the caller
    // has closed it, the call fails, and so does the start.
    unsafe {
        command.pre_exec(move || {
            let fd = BorrowedFd::borrow_raw(fd);
            Ok(fcntl_setfd(fd, FdFlags::empty())?)
        });
    }
}

/// Takes over a descriptor that the parent process passed on with [`inherit`].
///
/// The number becomes close-on-exec again: children of this process do not get it.
pub fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl takes no memory; on an invalid number it fails and nothing is taken over.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    // SAFETY: the number is open (checked above) and by protocol belongs to this process alone.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Starts a detached thread that calls `work`, through the C library alone; a panic of it ends the thread.
pub(super) fn start_thread(work: Box<dyn FnOnce() + Send>) -> io::Result<()> {
    /// As much as `std::thread` gives a thread, in bytes.
    const STACK: usize = 2 << 20;
    extern "C" fn run(work: *mut c_void) -> *mut c_void {
        // SAFETY: the box is made below, for this thread alone.
        let work = unsafe { Box::from_raw(work.cast::<Box<dyn FnOnce() + Send>>()) };
        // The panic hook has said and done what is to be; nobody joins this thread.
        let _ = catch_unwind(AssertUnwindSafe(work));
        null_mut()
    }
    let mut attributes = MaybeUninit::uninit();
    let attributes = attributes.as_mut_ptr();
    let mut thread = MaybeUninit::uninit();
    let work = Box::into_raw(Box::new(work));
    // SAFETY: the attributes are initialized before all else and destroyed at the end, which a thread that has started
    // does not notice. The box is that thread's; it is taken back if there is none.
    unsafe {
        let mut errno = libc::pthread_attr_init(attributes);
        if errno == 0 {
            libc::pthread_attr_setdetachstate(attributes, libc::PTHREAD_CREATE_DETACHED);
            libc::pthread_attr_setstacksize(attributes, STACK);
            errno = libc::pthread_create(thread.as_mut_ptr(), attributes, run, work.cast());
            libc::pthread_attr_destroy(attributes);
        }
        match errno {
            0 => Ok(()),
            errno => {
                drop(Box::from_raw(work));
                Err(io::Error::from_raw_os_error(errno))
            }
        }
    }
}

/// Makes a value whose constructor is unsafe because of what trusted test files can do with it. They
/// run commands as the user anyway, in a process that runs one test file and nothing else.
pub(crate) fn trust_test_files<T>(new: unsafe fn() -> T) -> T {
    // SAFETY: its one caller passes `Lua::unsafe_new`, which asks for nothing but that scripts are
    // trusted: `debug` and C modules can break the process that runs them.
    unsafe { new() }
}

/// Has all threads share a few heaps. One that starts where the address space is limited finds no room for a heap of
/// its own, 64 MiB; without a share of another one, each of its allocations would take pages from the kernel.
///
/// Does nothing without the GNU C library: musl has one heap.
pub fn share_heaps() {
    /// Enough that the threads which serve seldom meet.
    #[cfg(target_env = "gnu")]
    const HEAPS: i32 = 4;
    // SAFETY: sets a parameter of the allocator, which takes its own lock.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, HEAPS)
    };
}

/// Has the heap hold about `len` bytes of memory that the kernel has already found and cleared, and
/// keep freed memory: buffers of a few MiB then cost no page faults. Uses huge pages where the machine
/// has them, so that a fork does not undo it. Call it from the main thread, whose heap it fills.
///
/// Does nothing without the GNU C library: the allocator of musl gives large blocks back at once, whatever it is told.
#[cfg(not(target_env = "gnu"))]
pub fn warm_heap(_len: usize) {}

/// As above.
#[cfg(target_env = "gnu")]
pub fn warm_heap(len: usize) {
    const HUGE_PAGE: usize = 2 << 20;
    /// The largest block that the allocator takes from its heap.
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
        // SAFETY: the range lies within `memory`, whose content the advice does not change. Where
        // there are no huge pages the call fails without harm.
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
