//! The page of a run (`provium test --html`), in a headless Chromium.

mod browser;
mod folders;
mod hostile;
mod looks;
mod speed;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use provium::html::{Run, write};
use serde_json::json;

use crate::docs::page_says;
use crate::harness::*;
use browser::{Browser, Lent};
use folders::{BEGAN, Folder, TraceText};

/// A page, and the folder that it is in.
struct Page {
    _root: TempDir,
    file: PathBuf,
}

impl Page {
    /// The page of the tests whose folders `make` makes in a folder.
    fn of(make: impl FnOnce(&Path) -> Vec<PathBuf>) -> Self {
        let root = TempDir::new().unwrap();
        let tests = root.path().join("tests");
        std::fs::create_dir(&tests).unwrap();
        let run = Run {
            tests: make(&tests),
            began: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_787_000),
            monotonic_began: BEGAN - 3.0,
            seconds: 74.0,
            command: "provium test tests --html report.html".into(),
        };
        let file = root.path().join("report.html");
        write(&run, &file).unwrap();
        Self { _root: root, file }
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.file).unwrap()
    }
}

/// Tests of all verdicts, in a wide window. None on a machine without Chromium.
fn varied() -> Option<(Lent, Page)> {
    let mut browser = Browser::lend()?;
    let page = Page::of(folders::varied);
    browser.open(&page.file, 1600, 1000);
    Some((browser, page))
}

const TITLE: &str = "document.querySelector('#detail h2').textContent";
const FOUND: &str = "document.getElementById('found').textContent";
const RANGE: &str = "document.querySelector('.range').textContent";
/// Chooses the test with the richest timeline.
const RICH: &str = "[...document.querySelectorAll('.test')].find((row) => row.textContent.includes('journal survives')).click()";

#[test]
fn html_opens_with_the_verdict_on_top_and_the_first_failure() {
    let Some((mut browser, _page)) = varied() else {
        return;
    };
    let head = browser.text("document.querySelector('h1').textContent");
    assert_eq!(head, "3 of 37 tests failed");
    let rest = browser.text("document.querySelector('.rest').textContent");
    for part in [
        "1 not run, 1 flaky, 31 passed, 1 skipped",
        "took 1 min 14 s",
        "--html report.html",
    ] {
        assert!(rest.contains(part), "{rest}");
    }
    let verdicts =
        browser.text("[...document.querySelectorAll('.test .sign')].slice(0, 6).map((sign) => sign.getAttribute('aria-label')).join()");
    assert_eq!(verdicts, "failed,failed,failed,not run,flaky,passed");
    assert_eq!(
        browser.text(TITLE),
        "rename without fsync loses one of the two (4)"
    );
    let error = browser.text("document.querySelector('.message p').textContent");
    assert_eq!(
        error,
        "tests/ext4/journal.test.lua:46: expected 4096, got 0"
    );
    browser.assert_quiet();
}

#[test]
fn html_filters_by_verdict_file_tag_and_text() {
    let Some((mut browser, _page)) = varied() else {
        return;
    };
    let set = |id: &str, value: &str, event: &str| {
        format!(
            "(() => {{ const one = document.querySelector('{id}'); one.value = '{value}'; \
             one.dispatchEvent(new Event('{event}', {{bubbles: true}})); }})()"
        )
    };
    assert_eq!(browser.text(FOUND), "37 tests");
    browser.eval("document.querySelector('.chip[data-verdict=failed]').click()");
    assert_eq!(browser.text(FOUND), "3 of 37 tests");
    browser.eval("document.querySelector('.chip[data-verdict=skipped]').click()");
    assert_eq!(browser.text(FOUND), "4 of 37 tests");
    browser.eval(&set("select[aria-label=Tag]", "quick", "change"));
    assert_eq!(browser.text(FOUND), "2 of 37 tests");
    browser.eval("document.querySelector('.chip[data-verdict=failed]').click()");
    browser.eval("document.querySelector('.chip[data-verdict=skipped]').click()");
    assert_eq!(browser.text(FOUND), "25 of 37 tests");
    browser.eval(&set(
        "select[aria-label=File]",
        "tests/disk.test.lua",
        "change",
    ));
    assert_eq!(browser.text(FOUND), "1 of 37 tests");
    browser.eval(&set("select[aria-label=File]", "", "change"));
    browser.eval(&set("select[aria-label=Tag]", "", "change"));
    browser.eval(&set("#search", "EXPECTED journal", "input"));
    assert_eq!(browser.text(FOUND), "1 of 37 tests");
    browser.eval(&set("#search", "no such test", "input"));
    assert_eq!(browser.text(FOUND), "0 of 37 tests");
    browser.eval(&set("#search", "", "input"));
    assert_eq!(browser.text(FOUND), "37 tests");
    browser.assert_quiet();
}

#[test]
fn html_obeys_the_keys_that_its_list_names() {
    let Some((mut browser, _page)) = varied() else {
        return;
    };
    let first = browser.text(TITLE);
    browser.press("j");
    browser.until(&format!(
        "{TITLE} === 'a journal survives bad sectors and a power cut'"
    ));
    browser.press("k");
    browser.until(&format!("{TITLE} === {}", json!(first)));
    browser.press("/");
    assert_eq!(browser.text("document.activeElement.id"), "search");
    browser.press("j");
    assert_eq!(browser.text("document.activeElement.value"), "j");
    assert_eq!(
        browser.text(TITLE),
        first,
        "a letter in the search is no key"
    );
    browser.press("Escape");
    browser.press("Enter");
    assert_eq!(browser.text("document.activeElement.id"), "detail");
    let whole = browser.text(RANGE);
    browser.press("+");
    let near = browser.text(RANGE);
    assert_ne!(near, whole);
    browser.press("l");
    assert_ne!(browser.text(RANGE), near);
    browser.press("h");
    assert_eq!(browser.text(RANGE), near);
    browser.press("-");
    assert_eq!(browser.text(RANGE), whole);
    browser.press("+");
    browser.press("0");
    assert_eq!(browser.text(RANGE), whole);
    browser.press("?");
    let keys = browser.text("[...document.querySelectorAll('dialog[open] kbd')].map((key) => key.textContent).join(' ')");
    assert_eq!(keys, "j k Enter / Esc + - 0 h l ← → t ?");
    for row in [
        "| `j`, `k` | next test, test before it |",
        "| `+`, `-`, `0` | zoom in, zoom out, the whole test |",
        "| `h`, `l` | earlier, later |",
        "| `t` | colours: those of the system, light, dark |",
    ] {
        page_says("docs/running-tests.md", row);
    }
    browser.press("Escape");
    browser.until("!document.getElementById('help').open");
    browser.assert_quiet();
}

/// A test of 1.5 s with one request in the middle of its plot.
fn one_request(root: &Path) -> Vec<PathBuf> {
    let folder = Folder::of(root, "one request");
    let mut trace = TraceText::new();
    trace.add(
        0.75,
        "write 2048 8 delayed+EIO 12.345ms error op=write errno=EIO",
    );
    folder.disk(&trace.text);
    folder.write(
        "console.vm",
        &format!("{} far from it\n{} near it\n", BEGAN + 0.1, BEGAN + 0.7),
    );
    vec![folder.0]
}

#[test]
fn html_shows_the_request_under_the_pointer_and_its_moment_in_the_log() {
    let Some(mut browser) = Browser::lend() else {
        return;
    };
    let page = Page::of(one_request);
    browser.open(&page.file, 1600, 1000);
    let side = |browser: &mut Browser, side: &str| {
        browser.number(&format!(
            "document.querySelectorAll('.u-over')[1].getBoundingClientRect().{side}"
        ))
    };
    let [left, top, width, height] =
        ["left", "top", "width", "height"].map(|name| side(&mut browser, name));
    assert_eq!(
        browser.eval("document.querySelector('.tooltip').hidden"),
        true
    );
    browser.mouse("mouseMoved", left + width * 0.2, top + height * 0.5);
    browser.mouse("mouseMoved", left + width * 0.5, top + height * 0.5);
    browser.until("!document.querySelector('.tooltip').hidden");
    let tooltip = browser.text("[...document.querySelector('.tooltip').children].map((line) => line.textContent).join('\\n')");
    let expected = "write sector 2,048, 8 sectors (4 KiB)\nanswered at 0.7500 s, after 12.3 ms\n\
                    verdict: delayed+EIO\nrule: error op=write errno=EIO";
    assert_eq!(tooltip, expected);
    let marked = browser.text("document.querySelector('.line.marked .text').textContent");
    assert_eq!(marked, "near it");
    browser.mouse("mouseMoved", left + width * 0.8, top + height * 0.5);
    browser.until("document.querySelector('.tooltip').hidden");
    browser.assert_quiet();
}

#[test]
fn html_steps_through_requests_with_arrows_and_shows_them_in_the_log() {
    let Some((mut browser, _page)) = varied() else {
        return;
    };
    browser.eval(RICH);
    browser.until(&format!("{TITLE}.startsWith('a journal survives')"));
    browser.eval("document.querySelectorAll('.u-over')[1].focus()");
    browser.press("ArrowRight");
    let said = browser.text("document.getElementById('live').textContent");
    assert!(said.starts_with("write sector 0, "), "{said}");
    browser.press("ArrowRight");
    let next = browser.text("document.getElementById('live').textContent");
    assert!(next.starts_with("write sector 340, "), "{next}");
    browser.press("Enter");
    let line = browser.text("document.querySelector('.line.request.marked .text').textContent");
    assert!(line.starts_with("write   340+"), "{line}");
    browser.assert_quiet();
}

#[test]
fn html_has_the_state_of_each_disk() {
    let Some((mut browser, _page)) = varied() else {
        return;
    };
    browser.eval(RICH);
    browser.until(&format!("{TITLE}.startsWith('a journal survives')"));
    let disks = browser.text("document.querySelector('.disks').innerText");
    for text in [
        "error op=read errno=EIO at=2048+8",
        "never acts: no rule has the tag `late`",
        "21 delayed, 4 lost",
        "17 write 4096 8 812.5ms",
        "2048 8 torn tear op=write at=2048+8",
        "hang op=write at=40960+8",
        "2.1 s",
    ] {
        assert!(disks.contains(text), "{text} is not in {disks}");
    }
    let about = browser.text("document.querySelector('#detail > footer').innerText");
    for text in [
        "--filter 'a journal survives bad sectors and a power cut'",
        "6.1.0-44-cloud-amd64",
        "Seed of vm.vdb",
    ] {
        assert!(about.contains(text), "{text} is not in {about}");
    }
}

#[test]
fn html_shows_each_try_of_a_flaky_test() {
    let Some((mut browser, _page)) = varied() else {
        return;
    };
    browser.eval("document.querySelector('.chip[data-verdict=flaky]').click()");
    browser.eval("document.querySelector('.test').click()");
    browser.until("document.querySelectorAll('.tries a').length === 2");
    let tries = browser.text("document.querySelector('.tries').innerText.replace(/\\s+/g, ' ')");
    assert_eq!(tries, "Try 1 failed Try 2 passed");
    browser.eval("document.querySelector('.tries a').click()");
    browser.until("document.querySelector('.message.failed') !== null");
    let error = browser.text("document.querySelector('.message p').textContent");
    assert!(error.contains("did not see vda"), "{error}");
}

#[test]
fn html_shows_what_is_left_of_damaged_folders() {
    let Some(mut browser) = Browser::lend() else {
        return;
    };
    let page = Page::of(|root| {
        let empty = root.join("empty");
        std::fs::create_dir(&empty).unwrap();
        let damaged = Folder::of(root, "damaged");
        damaged.fails("it broke");
        damaged.disk("1 5000.5 read 0 8 ok 0.1ms -\nnonsense\n# 7 lines were lost\n2 5000.6 erase 0 8 ok 0.1ms -\n");
        damaged.write("disks/vm.vda/disk.json", "{\"id\": ");
        damaged.write("disks/vm.vda/stats", "read_requests many\n");
        damaged.write("disks/vm.vda/inflight", "\u{1b}\n");
        damaged.write("calls", "nonsense\n5000.1 2 vm:boot()\n");
        std::fs::write(damaged.0.join("console.vm"), b"\xff\xfe\n5000.2 caf\xe9\n").unwrap();
        std::fs::create_dir(damaged.0.join("console.directory")).unwrap();
        vec![empty, root.join("not there"), damaged.0]
    });
    browser.open(&page.file, 1600, 1000);
    assert_eq!(browser.text(FOUND), "3 tests");
    assert_eq!(browser.text(TITLE), "damaged");
    let remarks = browser.text("document.querySelector('.remarks').innerText");
    for text in [
        "vm.vda: 7 lines of the trace were lost",
        "vm.vda/disk.json: EOF while parsing",
        "vm.vda/trace: 2 damaged lines are left out",
        "vm.vda/stats: a damaged line is left out",
        "vm.vda/inflight: a damaged line is left out",
        "calls: a damaged line is left out",
        "console.directory: Is a directory",
    ] {
        assert!(remarks.contains(text), "{text} is not in {remarks}");
    }
    let log = browser.text("document.querySelector('.log').innerText");
    assert!(log.contains("caf\\xe9"), "{log}");
    assert!(log.contains("vm:boot()"), "{log}");
    browser.eval("document.querySelectorAll('.test')[1].click()");
    browser.until(&format!("{TITLE}.includes('test.json cannot be read')"));
    browser.assert_quiet();
}

#[test]
fn html_of_an_empty_run_says_so() {
    let Some(mut browser) = Browser::lend() else {
        return;
    };
    let page = Page::of(|_| Vec::new());
    browser.open(&page.file, 1000, 700);
    assert_eq!(
        browser.text("document.querySelector('h1').textContent"),
        "No tests"
    );
    browser.press("j");
    browser.assert_quiet();
}

#[test]
fn html_that_cannot_be_written_is_an_error() {
    let run = Run {
        tests: Vec::new(),
        began: SystemTime::now(),
        monotonic_began: 0.0,
        seconds: 0.0,
        command: String::new(),
    };
    let error = write(&run, Path::new("/nowhere/report.html")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    let error = write(&run, Path::new("/dev/full")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}
