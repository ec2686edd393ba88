//! Large pages: how long they take to open, to scroll and to zoom.

use std::time::Instant;

use super::{Page, folders};
use crate::harness::PATIENCE;
use crate::html::browser::Browser;

/// From the beginning of the load until a person can use the page, in milliseconds.
const OPEN: f64 = 2000.0;
/// The longest frame, in milliseconds.
const FRAME: f64 = 100.0;
/// The size of the file.
const SIZE: u64 = 20 << 20;

/// Calls `go(at)` in 100 frames, and returns the milliseconds of the longest one.
const LONGEST: &str = "async (go) => {
  let [longest, last] = [0, performance.now()];
  for (let at = -3; at < 100; at++) {
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    if (at > 0) longest = Math.max(longest, now - last);
    last = now;
    if (at >= 0) go(at);
  }
  return longest;
}";

/// How many processes wait for each processor: a page gets a fraction of the time that it has on a machine of its own.
fn load() -> f64 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    let load: f64 = load.split(' ').next().unwrap().parse().unwrap();
    let processors = std::thread::available_parallelism().unwrap().get();
    (load / processors as f64).max(1.0)
}

/// Asserts that one of the goes in a minute takes at most `limit` milliseconds, more on a busy machine.
fn assert_quick(what: &str, limit: f64, mut go: impl FnMut() -> f64) {
    let deadline = Instant::now() + PATIENCE;
    let mut all = Vec::new();
    while Instant::now() < deadline {
        all.push(go());
        let [last, load] = [all[all.len() - 1], load()];
        println!("{what}: {last:.0} ms, limit {limit:.0} ms, load {load:.1}");
        if last <= limit * load {
            return;
        }
    }
    panic!("{what}: {all:?} ms, at most {limit} ms, load {}", load());
}

#[test]
fn html_of_ten_thousand_tests_opens_and_scrolls_quickly() {
    let Some(mut browser) = Browser::lend() else {
        return;
    };
    let page = Page::of(|root| folders::many(root, 10_000, 10));
    let size = page.file.metadata().unwrap().len();
    println!("{size} bytes");
    assert!(size < SIZE, "{size}");
    assert_quick("open", OPEN, || {
        browser.open(&page.file, 1600, 1000);
        browser.number("performance.getEntriesByName('provium-ready')[0].startTime")
    });
    assert_eq!(browser.text(super::FOUND), "10,000 tests");
    let scroll = "(at) => document.getElementById('list').scrollTop += at < 60 ? 400 : 20000";
    assert_quick("scroll", FRAME, || {
        browser.eval("document.getElementById('list').scrollTop = 0");
        browser.number(&format!("({LONGEST})({scroll})"))
    });
    assert!(browser.number("document.getElementById('list').scrollTop") > 400_000.0);
    let search = "(at) => { const search = document.getElementById('search'); search.value = String(at % 10); \
                  search.dispatchEvent(new Event('input')); }";
    assert_quick("search", FRAME, || {
        browser.number(&format!("({LONGEST})({search})"))
    });
    browser.assert_quiet();
}

#[test]
fn html_of_a_hundred_thousand_requests_zooms_quickly() {
    let Some(mut browser) = Browser::lend() else {
        return;
    };
    let page = Page::of(|root| folders::many(root, 1, 100_000));
    assert_quick("open", OPEN, || {
        browser.open(&page.file, 1600, 1000);
        browser.number("performance.getEntriesByName('provium-ready')[0].startTime")
    });
    let zoom = "(at) => document.body.dispatchEvent(new KeyboardEvent('keydown', { key: at % 20 < 10 ? '+' : '-', bubbles: true }))";
    assert_quick("zoom", 2.0 * FRAME, || {
        browser.number(&format!("({LONGEST})({zoom})"))
    });
    let hover = "(at) => { const over = document.querySelectorAll('.u-over')[1]; const box = over.getBoundingClientRect(); \
                 over.dispatchEvent(new MouseEvent('mousemove', { clientX: box.left + at * 6, clientY: box.top + 60, bubbles: true })); }";
    assert_quick("hover", FRAME, || {
        browser.number(&format!("({LONGEST})({hover})"))
    });
    browser.eval("document.querySelector('.chip.request').click()");
    let scroll = "(at) => document.querySelector('.log').scrollTop += at < 60 ? 300 : 20000";
    assert_quick("log", FRAME, || {
        browser.number(&format!("({LONGEST})({scroll})"))
    });
    browser.assert_quiet();
}
