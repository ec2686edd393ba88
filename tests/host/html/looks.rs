//! Light and dark, narrow and wide, and what those meet who do not see the page.

use serde_json::json;

use super::{RICH, TITLE, varied};
use crate::html::browser::Browser;

/// The places where a text has less contrast to what is behind it than 4.5 to 1.
const FAINT: &str = "(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  const parse = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const part = (c) => ((c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour[3] > 250) return colour;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const element of document.querySelectorAll('body *')) {
    const text = [...element.childNodes].filter((node) => node.nodeType === 3 && node.data.trim()).map((node) => node.data).join(' ');
    if (!text || !element.checkVisibility() || element.closest('script, style, .heard')) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${element.className || element.tagName} ${ratio.toFixed(2)}: ${text.slice(0, 40)}`);
  }
  return faint.join('\\n');
})()";

/// Chooses the test with the richest timeline.
fn choose_rich(browser: &mut Browser) {
    browser.eval(RICH);
    browser.until(&format!("{TITLE}.startsWith('a journal survives')"));
}

#[test]
fn html_has_enough_contrast_in_light_and_dark() {
    let Some((mut browser, page)) = varied() else {
        return;
    };
    for scheme in ["light", "dark"] {
        browser.prefers(scheme);
        for (name, width, height) in [("wide", 1600, 1000), ("narrow", 390, 844)] {
            browser.open(&page.file, width, height);
            assert_eq!(browser.text(FAINT), "", "{scheme}, {name}, list");
            browser.shot(&format!("{scheme}-{name}-overview"));
            choose_rich(&mut browser);
            assert_eq!(browser.text(FAINT), "", "{scheme}, {name}, test");
            browser.shot(&format!("{scheme}-{name}-test"));
        }
    }
    // Negative control.
    browser.eval("document.querySelector('#detail h2').style.color = '#777'");
    assert!(browser.text(FAINT).contains("a journal survives"));
}

#[test]
fn html_follows_the_system_until_its_switch_says_otherwise() {
    let Some((mut browser, _page)) = varied() else {
        return;
    };
    let background = "getComputedStyle(document.body).backgroundColor";
    browser.prefers("light");
    let light = browser.text(background);
    browser.prefers("dark");
    let dark = browser.text(background);
    assert_ne!(light, dark);
    browser.press("t");
    assert_eq!(browser.text(background), light);
    browser.press("t");
    browser.prefers("light");
    assert_eq!(browser.text(background), dark);
    browser.press("t");
    assert_eq!(browser.text(background), light);
    browser.assert_quiet();
}

#[test]
fn html_fits_into_a_narrow_window() {
    let Some((mut browser, page)) = varied() else {
        return;
    };
    browser.open(&page.file, 390, 844);
    let wider = "[...document.querySelectorAll('body, #detail, #tests, #detail > *')].filter((one) => one.scrollWidth > innerWidth).map((one) => one.className || one.id).join()";
    assert_eq!(
        browser.eval("document.getElementById('detail').checkVisibility()"),
        false
    );
    assert_eq!(browser.text(wider), "");
    let covered = "(() => {
      const boxes = (selector) => [...document.querySelectorAll(selector)].filter((one) => one.checkVisibility());
      const apart = (a, b) => a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
      const text = (one) => { const range = document.createRange(); range.selectNodeContents(one); return range.getBoundingClientRect(); };
      const under = (button) => boxes('#summary h1, #summary .rest > *').filter((one) => !apart(text(one), button.getBoundingClientRect()));
      return boxes('#top button').flatMap(under).map((one) => one.textContent).join();
    })()";
    assert_eq!(browser.text(covered), "", "a button is over a text");
    choose_rich(&mut browser);
    assert_eq!(
        browser.eval("document.getElementById('tests').checkVisibility()"),
        false
    );
    assert_eq!(browser.text(wider), "");
    browser.eval("document.querySelector('.back').click()");
    browser.until("document.getElementById('tests').checkVisibility()");
    browser.assert_quiet();
}

#[test]
fn html_has_a_name_for_each_thing_to_use() {
    let Some((mut browser, _page)) = varied() else {
        return;
    };
    choose_rich(&mut browser);
    browser.call("Accessibility.enable", json!({}));
    let tree = browser.call("Accessibility.getFullAXTree", json!({}));
    let nodes = tree["nodes"].as_array().unwrap();
    let mut seen = 0;
    for node in nodes.iter().filter(|node| node["ignored"] == false) {
        let role = node["role"]["value"].as_str().unwrap_or_default();
        let named = [
            "button",
            "link",
            "searchbox",
            "combobox",
            "listbox",
            "option",
            "image",
            "img",
            "table",
            "article",
            "list",
        ];
        if named.contains(&role) && role != "list" && role != "table" {
            seen += 1;
            let name = node["name"]["value"].as_str().unwrap_or_default();
            assert!(!name.trim().is_empty(), "{node}");
        }
    }
    assert!(seen > 30, "{seen}");
    let levels = browser.text("[...document.querySelectorAll('h1, h2, h3')].filter((one) => one.checkVisibility()).map((one) => one.tagName).join(' ')");
    assert!(levels.starts_with("H1 H2 H3"), "{levels}");
}

#[test]
fn html_shows_where_the_focus_is() {
    let Some((mut browser, _page)) = varied() else {
        return;
    };
    choose_rich(&mut browser);
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..40 {
        browser.press("Tab");
        let focus = browser.text(
            "(() => { const one = document.activeElement; const style = getComputedStyle(one); \
             return `${one.tagName} ${one.id || one.className} ${style.outlineStyle} ${style.outlineWidth}`; })()",
        );
        if !focus.starts_with("BODY") {
            assert!(focus.ends_with("solid 2px"), "{focus}");
            seen.insert(focus);
        }
    }
    assert!(seen.len() > 10, "{seen:?}");
}
