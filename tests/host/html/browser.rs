//! A headless Chromium, driven through its debugging pipe: commands and events in JSON, each with a NUL after it.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{TempDir, has, run};

/// The commands that it may be installed as.
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];
const FLAGS: [&str; 11] = [
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
];
/// The longest that an answer takes, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(180);

/// A browser with one page.
pub struct Browser {
    process: Child,
    input: ChildStdin,
    output: Receiver<Value>,
    next: u64,
    /// The context of the page, and its session.
    context: Option<String>,
    session: Option<String>,
    events: VecDeque<Value>,
}

/// Starting one takes longer than most tests, so they share it, one after the other. It ends with this process,
/// when its pipe is closed.
static SHARED: Mutex<Option<Browser>> = Mutex::new(None);

/// The shared browser, with a page of its own for a test.
pub struct Lent(MutexGuard<'static, Option<Browser>>);

impl Deref for Lent {
    type Target = Browser;

    fn deref(&self) -> &Browser {
        self.0.as_ref().unwrap()
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut Browser {
        self.0.as_mut().unwrap()
    }
}

impl Browser {
    /// Waits until no other test has the browser. None, with a message, on a machine without one.
    pub fn lend() -> Option<Lent> {
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| {
            SHARED.clear_poison();
            let mut shared = poisoned.into_inner();
            // Nobody knows what a test that has failed left of it.
            *shared = None;
            shared
        });
        if shared.is_none() {
            *shared = Some(Self::start()?);
        }
        let mut lent = Lent(shared);
        lent.new_page();
        Some(lent)
    }

    fn start() -> Option<Self> {
        let is_there = |name: &&str| {
            let mut which = Command::new("sh");
            which.args(["-c", &format!("command -v {name}")]);
            run(&mut which).status.success()
        };
        let Some(name) = NAMES.into_iter().find(|name| is_there(name)) else {
            has(NAMES[0]);
            return None;
        };
        let profile = TempDir::new().unwrap().keep();
        let mut shell = Command::new("sh");
        // The pipe is descriptors 3 and 4. The shell outlives the test, and takes the profile away.
        let script = "\"$@\" 3<&0 4>&1 < /dev/null > /dev/null 2>&1; rm -rf \"$0\" < /dev/null > /dev/null 2>&1";
        shell.args(["-c", script]).arg(&profile).arg(name);
        shell.args(FLAGS);
        shell.arg(format!("--user-data-dir={}", profile.display()));
        shell.arg("about:blank");
        shell.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = shell.spawn().unwrap();
        let input = process.stdin.take().unwrap();
        let output = messages(process.stdout.take().unwrap());
        Some(Self {
            process,
            input,
            output,
            next: 0,
            context: None,
            session: None,
            events: VecDeque::new(),
        })
    }

    /// Closes the page of the last test, with all that it has stored, and opens another one.
    fn new_page(&mut self) {
        self.session = None;
        if let Some(context) = self.context.take() {
            self.call(
                "Target.disposeBrowserContext",
                json!({"browserContextId": context}),
            );
        }
        let mut context = self.call("Target.createBrowserContext", json!({}));
        let context = context["browserContextId"].take();
        let blank = json!({"url": "about:blank", "browserContextId": context});
        let target = self.call("Target.createTarget", blank);
        let attached = json!({"targetId": target["targetId"], "flatten": true});
        let session = self.call("Target.attachToTarget", attached);
        self.context = context.as_str().map(str::to_owned);
        self.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            self.call(&format!("{domain}.enable"), json!({}));
        }
    }

    /// Sends a command, and returns its result.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.next += 1;
        let id = self.next;
        let mut message = json!({"id": id, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        self.input
            .write_all(format!("{message}\0").as_bytes())
            .unwrap();
        loop {
            let mut answer = self.receive(method);
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
            self.events.push_back(answer);
        }
    }

    fn receive(&mut self, what: &str) -> Value {
        let answer = self.output.recv_timeout(PATIENCE);
        answer.unwrap_or_else(|error| panic!("the browser does not answer {what}: {error}"))
    }

    /// Opens a file in a window of this size, and waits until the page says that it is ready.
    pub fn open(&mut self, file: &Path, width: u32, height: u32) {
        let metrics =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", metrics);
        self.call("Page.navigate", json!({"url": "about:blank"}));
        self.events.clear();
        let loaded = self.call(
            "Page.navigate",
            json!({"url": format!("file://{}", file.display())}),
        );
        assert!(loaded["errorText"].is_null(), "{loaded}");
        self.until("performance.getEntriesByName('provium-ready').length > 0 || document.getElementById('failure')?.hidden === false");
        assert_eq!(
            self.eval("document.getElementById('failure').textContent"),
            ""
        );
        self.settle();
    }

    /// The colours of the system: `light` or `dark`.
    pub fn prefers(&mut self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", json!({"features": features}));
    }

    /// The value of a JavaScript expression; a promise is waited for.
    pub fn eval(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true});
        let mut result = self.call("Runtime.evaluate", params);
        assert!(
            result["exceptionDetails"].is_null(),
            "{expression}: {result}"
        );
        let acts = ["click()", "focus()", "dispatchEvent"];
        if acts.iter().any(|word| expression.contains(word)) {
            self.settle();
        }
        result["result"]["value"].take()
    }

    /// Waits until the page has shown what was done to it.
    fn settle(&mut self) {
        const DRAWN: &str = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))";
        self.eval(DRAWN);
        self.until("document.querySelector('[aria-busy]') === null");
        self.eval(DRAWN);
    }

    pub fn text(&mut self, expression: &str) -> String {
        let value = self.eval(expression);
        value
            .as_str()
            .unwrap_or_else(|| panic!("{expression}: {value}"))
            .to_owned()
    }

    pub fn number(&mut self, expression: &str) -> f64 {
        let value = self.eval(expression);
        value
            .as_f64()
            .unwrap_or_else(|| panic!("{expression}: {value}"))
    }

    /// Waits until an expression is true.
    pub fn until(&mut self, condition: &str) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while self.eval(condition) != true {
            assert!(std::time::Instant::now() < deadline, "never: {condition}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Presses a key, as `j`, `Enter` or `ArrowRight`.
    pub fn press(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            "Escape" => 27,
            "ArrowLeft" => 37,
            "ArrowRight" => 39,
            key => key.as_bytes()[0].to_ascii_uppercase(),
        };
        let mut params = json!({"type": "keyDown", "key": key, "windowsVirtualKeyCode": code});
        match key {
            "Enter" => params["text"] = "\r".into(),
            key if key.len() == 1 => params["text"] = key.into(),
            _ => {}
        }
        self.call("Input.dispatchKeyEvent", params);
        let up = json!({"type": "keyUp", "key": key, "windowsVirtualKeyCode": code});
        self.call("Input.dispatchKeyEvent", up);
        self.settle();
    }

    /// Moves the mouse, as with the types `mouseMoved`, `mousePressed` and `mouseReleased`.
    pub fn mouse(&mut self, kind: &str, x: f64, y: f64) {
        let button = if kind == "mouseMoved" { "none" } else { "left" };
        let params = json!({"type": kind, "x": x, "y": y, "button": button, "clickCount": 1});
        self.call("Input.dispatchMouseEvent", params);
        self.settle();
    }

    /// The events since the page was opened that have this method.
    pub fn events(&mut self, method: &str) -> Vec<&Value> {
        while let Ok(event) = self.output.try_recv() {
            self.events.push_back(event);
        }
        let events = self.events.iter();
        let events = events.filter(|event| event["method"] == method);
        events.map(|event| &event["params"]).collect()
    }

    /// Asserts that the page has reported no error, and asked for nothing but its own file.
    pub fn assert_quiet(&mut self) {
        for method in [
            "Runtime.exceptionThrown",
            "Runtime.consoleAPICalled",
            "Log.entryAdded",
        ] {
            let said = self.events(method);
            assert!(said.is_empty(), "{method}: {said:?}");
        }
        for request in self.events("Network.requestWillBeSent") {
            let url = request["request"]["url"].as_str().unwrap();
            let is_local = ["file:", "data:", "blob:"]
                .iter()
                .any(|scheme| url.starts_with(scheme));
            assert!(is_local, "asked for {url}");
        }
    }

    /// Leaves a picture in the folder `PROVIUM_HTML_SHOTS`, if that is set.
    pub fn shot(&mut self, name: &str) {
        let Some(folder) = std::env::var_os("PROVIUM_HTML_SHOTS") else {
            return;
        };
        use base64::Engine;
        let shot = self.call("Page.captureScreenshot", json!({"format": "png"}));
        let bytes =
            base64::engine::general_purpose::STANDARD.decode(shot["data"].as_str().unwrap());
        std::fs::write(
            Path::new(&folder).join(format!("{name}.png")),
            bytes.unwrap(),
        )
        .unwrap();
    }
}

impl Drop for Browser {
    /// Closes its pipe, which ends it.
    fn drop(&mut self) {
        let _ = self
            .input
            .write_all(b"{\"id\": 0, \"method\": \"Browser.close\"}\0");
        let _ = self.process.wait();
    }
}

/// Reads what the browser says in a thread of its own.
fn messages(output: ChildStdout) -> Receiver<Value> {
    let (tx, rx) = channel();
    let mut output = BufReader::new(output);
    std::thread::spawn(move || {
        let mut message = Vec::new();
        while output
            .read_until(0, &mut message)
            .is_ok_and(|read| read > 0)
        {
            message.pop();
            let Ok(value) = serde_json::from_slice(&message) else {
                break;
            };
            if tx.send(value).is_err() {
                break;
            }
            message.clear();
        }
    });
    rx
}
