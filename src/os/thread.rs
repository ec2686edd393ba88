//! Threads that start while clients rely on this process.

use std::ffi::CStr;
use std::io;

use super::sys;

/// Starts a thread that does `work`. The kernel keeps the first 15 bytes of `name`. An error, and nothing else, where
/// there is no memory for the thread.
///
/// A thread of `std::thread` asks for a little more once it runs, for the message of a stack overflow, and ends the
/// whole process if it does not get that.
pub fn start(name: &'static CStr, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    sys::start_thread(Box::new(move || {
        let _ = rustix::thread::set_name(name);
        work();
    }))
}

/// The name of the thread that calls this, as the kernel keeps it.
pub fn own_name() -> String {
    let name = rustix::thread::name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;

    #[test]
    fn thread_has_its_name_and_a_panic_ends_it_alone() {
        let (tx, rx) = bounded(1);
        let panics = move || {
            tx.send(own_name()).unwrap();
            panic!("a test asked for it");
        };
        start(c"a-name-longer-than-others", panics).unwrap();
        assert_eq!(rx.recv().unwrap(), "a-name-longer-t");
        assert!(rx.recv().is_err());
    }
}
