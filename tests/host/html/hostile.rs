//! What guests, tests and paths have written is text on the page, and nothing else.

use serde_json::json;

use super::folders::{BEGAN, Folder};
use super::{FOUND, Page, TITLE};
use crate::docs::page_says;
use crate::html::browser::Browser;

/// Each of them would run if it became a part of the page.
const HOSTILE: [&str; 5] = [
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror=window.hacked=1>",
    "<!--<script>",
    "\"'><svg onload=window.hacked=1>",
    "{data} {script} {style} {nonce} ${window.hacked=1} &lt;b&gt;",
];

fn hostile_page() -> Page {
    Page::of(|root| {
        let folders = HOSTILE.map(|text| {
            let folder = Folder::of(root, text);
            folder.fails(&format!("{text}\n{text}"));
            folder.record(json!({
                "file": text, "tags": [text], "command": text, "versions": {text: text},
                "seeds": {"rules": {text: 7}, "shuffle": null},
            }));
            let vm = text.replace('/', "\u{2044}");
            folder.write(&format!("console.{vm}"), &format!("{} {text}\n", BEGAN + 0.5));
            folder.write("calls", &format!("{} 10 vm:run([[{text}]])\n", BEGAN + 0.4));
            let disk = format!("disks/{vm}");
            let trace = format!(
                "1 {} read 0 8 EIO 0.1ms {text}\n2 {} mark {text}\n3 {} disk log stopped: {text}\n",
                BEGAN + 0.6,
                BEGAN + 0.7,
                BEGAN + 0.8
            );
            folder.write(&format!("{disk}/trace"), &trace);
            folder.write(&format!("{disk}/rules"), &format!("{text}\n"));
            folder.write(&format!("{disk}/inflight"), &format!("read 8 8 1.0ms {text}\n"));
            for file in ["damage", "pending", "stats"] {
                folder.write(&format!("{disk}/{file}"), &format!("{text}\n"));
            }
            let record = json!({"id": text, "vm": text, "size": 4096, "image": text, "seed": 1, "cache": text});
            folder.write(&format!("{disk}/disk.json"), &record.to_string());
            folder.0
        });
        folders.to_vec()
    })
}

#[test]
fn html_keeps_hostile_text_out_of_its_source() {
    let text = hostile_page().text();
    assert!(!text.contains("hacked"));
    let harmless = Page::of(|_| Vec::new()).text();
    // The data are one element for the index and one for each block.
    let scripts = |text: &str| text.matches("<script").count();
    assert_eq!(scripts(&text), scripts(&harmless) + 1);
}

#[test]
fn html_shows_hostile_text_as_it_is() {
    let Some(mut browser) = Browser::lend() else {
        return;
    };
    let page = hostile_page();
    browser.open(&page.file, 1600, 1000);
    assert_eq!(browser.text(FOUND), "5 tests");
    for (at, text) in HOSTILE.into_iter().enumerate() {
        browser.eval(&format!("document.getElementById('test-{at}').click()"));
        browser.until(&format!("{TITLE} === {}", json!(text)));
        let shown = browser.text("document.getElementById('detail').innerText");
        let times = shown.matches(text).count();
        assert!(times >= 12, "{text}: {times} times in {shown}");
        browser.eval("document.querySelectorAll('.u-over')[1].focus()");
        browser.press("ArrowRight");
        let tooltip = browser.text("document.querySelector('.tooltip').textContent");
        assert!(tooltip.contains(text), "{tooltip}");
    }
    assert_eq!(browser.eval("typeof window.hacked"), "undefined");
    assert_eq!(
        browser.number("document.querySelectorAll('img, iframe, object').length"),
        0.0
    );
    browser.assert_quiet();
}

#[test]
fn html_runs_no_script_but_its_own() {
    let Some(mut browser) = Browser::lend() else {
        return;
    };
    let page = hostile_page();
    browser.open(&page.file, 1600, 1000);
    browser.assert_quiet();
    // Negative control: the page's policy stops what got in by another way.
    browser.eval(
        "(() => { const script = document.createElement('script'); script.append('window.hacked = 1'); \
         try { document.body.append(script); } catch {} })()",
    );
    let made = "(() => { try { document.body.innerHTML += '<i></i>'; return 'made'; } catch { return 'refused'; } })()";
    assert_eq!(browser.text(made), "refused");
    assert_eq!(browser.eval("typeof window.hacked"), "undefined");
    let fetched = "fetch('https://example.org/').then(() => 'fetched', () => 'refused')";
    assert_eq!(browser.text(fetched), "refused");
    assert!(!browser.events("Log.entryAdded").is_empty());
}

#[test]
fn html_names_no_address_outside_of_it() {
    page_says("docs/running-tests.md", "one page that needs no network");
    let text = Page::of(|_| Vec::new()).text();
    let addresses: Vec<_> = text
        .match_indices("://")
        .map(|(at, _)| &text[at - 5..(at + 40).min(text.len())])
        .collect();
    // The comment of uPlot, and the name of SVG.
    let is_known = |address: &&str| {
        address.contains("github.com/leeoniya/uPlot") || address.contains("www.w3.org/2000/svg")
    };
    assert!(addresses.iter().all(is_known), "{addresses:?}");
    assert_eq!(addresses.len(), 2, "{addresses:?}");
}
