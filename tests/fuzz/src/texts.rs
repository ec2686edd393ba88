//! Lua strings of any bytes, in whatever puts one into a report: each report is text that does nothing
//! to a terminal, and what failed says where.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::rc::Rc;
use std::time::Duration;

use provium::config::Config;
use provium::events::Event;
use provium::events::Order;
use provium::events::Outcome;
use provium::runner::{JsonReporter, JunitReporter, Report, Reporter, Summary, TapReporter};
use provium::script::{FileOptions, run_file};

/// What is done with the string `s`, in the test or before it.
const CALLS: [&str; 20] = [
    "error(s)",
    "error({s, [s] = s})",
    "error(setmetatable({}, {__tostring = function() return s end}))",
    "error(s, 2)",
    "t:fail(s)",
    "t:skip(s)",
    "t:log(s)",
    "t:assert(false, s)",
    "t:assert_eq(s, {})",
    "t:assert_neq(s, s, s)",
    "t:assert_contains(s, s .. s .. 'x')",
    "t:assert_raises(print, s)",
    "wait_until(function() end, {timeout = 0, desc = s})",
    "wait_until(print, {[s] = s})",
    "load('error(...)', s)(s)",
    "json.decode(s .. '[')",
    "json.encode({[s] = s .. '\\xff'})",
    "provium[s] = s",
    "provium:vm(s)",
    "pcall(t.fail, t, s)",
];

/// The last of them are those of the file.
const OF_FILE: [&str; 3] = [
    "todo(s)",
    "error(s)",
    "test(s, {skip = s, tags = {s}}, print)",
];

/// The first byte says what is done with the rest.
pub fn run(data: &[u8]) {
    let Some((&choice, text)) = data.split_first() else {
        return;
    };
    let choice = usize::from(choice) % (CALLS.len() + OF_FILE.len());
    let in_test = CALLS.get(choice).copied().unwrap_or_default();
    let in_file = choice.checked_sub(CALLS.len()).map_or("", |at| OF_FILE[at]);
    let escaped: String = text.iter().map(|byte| format!("\\{byte:03}")).collect();
    let lua = format!(
        "local s = \"{escaped}\"; {in_file} test('test ' .. s:sub(1, 99), function(t) {in_test} end)"
    );
    let events = events_of(text, &lua);
    for event in &events {
        let message = match event {
            Event::Finished {
                outcome: Outcome::Failed { message },
                ..
            }
            | Event::FileFailed { message, .. } => message,
            _ => continue,
        };
        // The place of an empty text is the end of its line.
        let has_place = |line: &str| line.contains(":1: ") || line.ends_with(":1:");
        let is_placed = message.lines().any(has_place);
        assert!(is_placed, "{message:?} has no place: {lua}");
    }
    reports(&events);
}

/// What running `lua` says, in a file whose name begins with `text` too.
fn events_of(text: &[u8], lua: &str) -> Vec<Event> {
    let folder = tempfile::tempdir().unwrap();
    let name = text.iter().filter(|byte| !b"/\0".contains(byte));
    let name: Vec<u8> = name.take(20).copied().chain(*b".test.lua").collect();
    let path = folder.path().join(OsStr::from_bytes(&name));
    std::fs::write(&path, lua).unwrap();
    let events = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&events);
    let order = Order {
        timeout: 5.0,
        ..Order::default()
    };
    let config = Config::default();
    let note = move |event| seen.borrow_mut().push(event);
    run_file(&path, FileOptions { config, order }, Box::new(note));
    events.take()
}

/// Draws them in every way.
fn reports(events: &[Event]) {
    let drawn = [Drawn::default(), Drawn::default(), Drawn::default()];
    let [tap, json, junit] = drawn.each_ref().map(|drawn| Box::new(drawn.clone()));
    let reporters: [Box<dyn Reporter>; 3] = [
        Box::new(TapReporter::new(tap)),
        Box::new(JsonReporter::new(json)),
        Box::new(JunitReporter::new(junit, false)),
    ];
    let file = OsStr::from_bytes(b"\xff\x1b.test.lua");
    let of_event = |event: &Event| Report::Event(file.into(), 1, event.clone());
    for mut reporter in reporters {
        let began = Report::Began {
            files: 1,
            rounds: 1,
            seed: None,
        };
        let took = Duration::ZERO;
        let ended = Report::Ended(Summary {
            took,
            ..Summary::default()
        });
        let events = events.iter().map(of_event);
        for report in [began].into_iter().chain(events).chain([ended]) {
            reporter.report(&report).unwrap();
        }
    }
    let [tap, json, junit] = drawn.map(Drawn::text);
    for text in [&tap, &json, &junit] {
        let does_something = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
        assert!(!text.contains(does_something), "{text:?}");
    }
    let is_result = |line: &&str| line.starts_with("ok ") || line.starts_with("not ok ");
    let ends = |event: &&Event| matches!(event, Event::Finished { .. } | Event::FileFailed { .. });
    let ended = events.iter().filter(ends).count();
    assert_eq!(tap.lines().filter(is_result).count(), ended, "{tap}");
    assert_eq!(json.lines().count(), events.len() + 2, "{json}");
}

#[derive(Clone, Default)]
struct Drawn(Rc<RefCell<Vec<u8>>>);

impl Drawn {
    fn text(self) -> String {
        String::from_utf8(self.0.take()).unwrap()
    }
}

impl Write for Drawn {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
