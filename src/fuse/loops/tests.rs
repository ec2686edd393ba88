//! Loop threads that serve, rest, get stuck and end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{JoinHandle, park, sleep, spawn};
use std::time::Duration;

use crossbeam_channel::TryRecvError;

use super::long_requests::{LONG, MANY};
use super::threads::CLOSE_LOOK;
use super::watchdog::LOOK;
use super::{Loops, NEEDED};

/// A thread that serves one request as a loop thread does, and then rests. If it may do the work itself, it
/// is stuck in the request until it is unparked. It sends whether it may, and false once it has rested.
fn request(loops: &Arc<Loops>) -> (JoinHandle<()>, Receiver<bool>) {
    let (tx, rx) = channel();
    let loops = Arc::clone(loops);
    let run = move || {
        let busy = loops.enter();
        tx.send(busy.is_some()).unwrap();
        if busy.is_some() {
            park();
        }
        drop(busy);
        loops.rest();
        tx.send(false).unwrap();
        // Stays alive: the end of a thread is the end of the session.
        park();
    };
    (spawn(run), rx)
}

fn next(rx: &Receiver<bool>) -> Option<bool> {
    rx.recv_timeout(Duration::from_secs(60)).ok()
}

/// Whether nothing comes for as long as something would take to come on an idle machine.
fn is_silent(rx: &Receiver<bool>) -> bool {
    rx.recv_timeout(Duration::from_millis(300)).is_err()
}

/// Waits until all threads but one that have served are parked.
fn until_one_is_awake(loops: &Loops) {
    while loops.threads.awake.load(Ordering::SeqCst) != 1 {
        sleep(CLOSE_LOOK);
    }
}

/// A thread that has served a request and waits at the device.
fn waiting(loops: &Arc<Loops>) {
    let (thread, rx) = request(loops);
    assert_eq!(next(&rx), Some(true));
    thread.thread().unpark();
    assert_eq!(next(&rx), Some(false));
}

#[test]
fn second_thread_parks_while_one_suffices() {
    // Without a watchdog: to it, a thread that has no processor for a while is stuck.
    let loops = Loops::unwatched(2, 1);
    waiting(&loops);
    let (second, rx) = request(&loops);
    assert_eq!(next(&rx), Some(true));
    second.thread().unpark();
    until_one_is_awake(&loops);
    assert!(is_silent(&rx), "it parks");
}

#[test]
fn only_thread_that_has_served_does_not_park_so_that_it_sees_the_end() {
    let loops = Loops::unwatched(4, 1);
    waiting(&loops);
    assert_eq!(loops.threads.awake.load(Ordering::SeqCst), 1);
}

#[test]
fn close_waits_for_the_last_request_and_lets_no_thread_work_afterwards() {
    let loops = Loops::with_threads(2, 1).unwrap();
    let (last, rx) = request(&loops);
    assert_eq!(next(&rx), Some(true));
    let theirs = Arc::clone(&loops);
    let closing = spawn(move || theirs.close());
    sleep(CLOSE_LOOK * 20);
    assert!(!closing.is_finished());
    last.thread().unpark();
    closing.join().unwrap();
    let (_next, rx) = request(&loops);
    assert_eq!(next(&rx), Some(false), "it belongs on the pool");
}

#[test]
fn watchdog_reports_a_stuck_thread_at_each_look() {
    let loops = Loops::with_threads(2, 1).unwrap();
    let (tx, rx) = channel();
    loops.on_stuck(move || tx.send(true).unwrap());
    waiting(&loops);
    // It may have seemed stuck while this thread had no processor.
    while !is_silent(&rx) {}
    let (_stuck, is_stuck) = request(&loops);
    assert_eq!(next(&is_stuck), Some(true));
    assert_eq!((next(&rx), next(&rx)), (Some(true), Some(true)));
}

#[test]
fn stuck_thread_brings_back_the_parked_ones_and_then_the_spare() {
    let loops = Loops::unwatched(2, 1);
    let leading = Arc::clone(&loops);
    let (begin, begins) = channel();
    let (led, has_led) = channel();
    let leader = spawn(move || {
        drop(leading.enter());
        led.send(true).unwrap();
        begins.recv().unwrap();
        let _stuck = leading.enter();
        begins.recv().unwrap();
    });
    assert_eq!(next(&has_led), Some(true));
    let parked = Arc::clone(&loops);
    let (tx, rx) = channel();
    spawn(move || {
        drop(parked.enter());
        tx.send(true).unwrap();
        parked.rest();
        tx.send(true).unwrap();
        let _stuck = parked.enter();
        park();
    });
    assert_eq!(next(&rx), Some(true));
    until_one_is_awake(&loops);
    assert!(is_silent(&rx), "one of two is parked");
    loops.watch().unwrap();
    begin.send(()).unwrap();
    assert_eq!(next(&rx), Some(true), "it is needed: the leader is stuck");
    let (_spare, spare) = request(&loops);
    assert_eq!(next(&spare), Some(false), "the spare is to use the pool");
    assert_eq!(next(&spare), Some(false), "and serves while both are stuck");
    loops.end();
    begin.send(()).unwrap();
    leader.join().unwrap();
}

#[test]
fn long_requests_want_all_threads_and_short_ones_a_single_one() {
    let loops = Loops::unwatched(4, 1);
    let wanted = || loops.threads.wanted.load(Ordering::SeqCst);
    for _ in 0..3 {
        loops.threads.learn(LONG * 2);
    }
    assert_eq!(wanted(), 1, "few long ones are chance");
    loops.threads.learn(LONG * 2);
    assert_eq!(wanted(), 4);
    for _ in 1..MANY {
        loops.threads.learn(LONG / 2);
    }
    assert_eq!(wanted(), 4);
    loops.threads.learn(LONG / 2);
    assert_eq!(wanted(), 1);
}

#[test]
fn watchdog_sleeps_while_no_thread_is_busy_and_wakes_when_one_is() {
    let loops = Loops::with_threads(1, 1).unwrap();
    let asleep = || loops.threads.is_asleep();
    while !asleep() {
        sleep(LOOK);
    }
    let (_active, active) = request(&loops);
    assert_eq!(next(&active), Some(true));
    assert!(!asleep());
    let (_spare, spare) = request(&loops);
    assert_eq!(next(&spare), Some(false));
    assert_eq!(
        next(&spare),
        Some(false),
        "the active one is seen to be stuck"
    );
    loops.end();
}

#[test]
fn end_of_one_thread_ends_the_session() {
    let loops = Loops::with_threads(1, 1).unwrap();
    let theirs = Arc::clone(&loops);
    spawn(move || drop(theirs.enter())).join().unwrap();
    assert!(loops.threads.state.lock().ended());
}

#[test]
fn panic_of_a_thread_that_clients_need_ends_the_session_and_one_of_a_pool_does_not() {
    for name in ["fuser-1", "watchdog", "delays", "streams"] {
        let loops = Loops::unwatched(2, 1);
        loops.end_at_panics();
        let panics = |name: &str| {
            let thread = std::thread::Builder::new().name(name.into());
            let panicking = thread.spawn(|| panic!("as intended")).unwrap();
            assert!(panicking.join().is_err());
        };
        panics("worker");
        assert_eq!(loops.over().try_recv(), Err(TryRecvError::Empty));
        panics(name);
        let over = loops.over().recv_timeout(Duration::from_secs(60));
        assert!(over.is_err_and(|error| !error.is_timeout()), "{name}");
    }
}

#[test]
fn threads_that_clients_need_are_named_so_where_they_start() {
    for name in NEEDED.iter().filter(|name| **name != "fuser-") {
        let mut grep = std::process::Command::new("grep");
        let (started, spawned) = (
            format!("start(c\"{name}\""),
            format!(".name(\"{name}\".into())"),
        );
        grep.args(["-rqF", "-e", &started, "-e", &spawned]);
        grep.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src"));
        assert!(grep.status().unwrap().success(), "{name}");
    }
}
