//! The page around the data. Its parts are compiled in.

/// The frame. `{data}` stands where the data go.
const FRAME: &str = include_str!("page/page.html");
/// Style sheets, in order.
const STYLES: [&str; 5] = [
    include_str!("vendor/uPlot.min.css"),
    include_str!("page/base.css"),
    include_str!("page/tests.css"),
    include_str!("page/detail.css"),
    include_str!("page/timeline.css"),
];
/// uPlot, which declares one name, and its licence, which goes with each copy.
const PLOTS: &str = include_str!("vendor/uPlot.iife.min.js");
const LICENCE: &str = include_str!("vendor/LICENSE.uPlot");
/// The page's own scripts. They share one scope, and the last one starts the page.
const SCRIPTS: [&str; 14] = [
    include_str!("page/dom.js"),
    include_str!("page/format.js"),
    include_str!("page/data.js"),
    include_str!("page/theme.js"),
    include_str!("page/virtual_list.js"),
    include_str!("page/tests.js"),
    include_str!("page/events.js"),
    include_str!("page/draw.js"),
    include_str!("page/timeline.js"),
    include_str!("page/hover.js"),
    include_str!("page/log.js"),
    include_str!("page/disk_facts.js"),
    include_str!("page/detail.js"),
    include_str!("page/main.js"),
];

/// The text before the data and the text after them.
pub(super) struct Page {
    head: String,
    tail: String,
}

impl Page {
    pub(super) fn new() -> Self {
        // The browser runs the scripts that have this number, and no others.
        let nonce = format!("{:032x}", fastrand::u128(..));
        let scripts = SCRIPTS.concat();
        let page = FRAME
            .replace("{nonce}", &nonce)
            .replace("{style}", &STYLES.concat());
        let (head, tail) = page.split_once("{data}").unwrap_or((&page, ""));
        let script =
            format!("/*\n{LICENCE}\n*/\n{PLOTS}\n(() => {{\n\"use strict\";\n{scripts}}})();\n");
        Self {
            head: head.to_owned(),
            tail: tail.replace("{script}", &script),
        }
    }

    pub(super) fn head(&self) -> &str {
        &self.head
    }

    pub(super) fn tail(&self) -> &str {
        &self.tail
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frame_has_each_place_once() {
        for place in ["{style}", "{data}", "{script}"] {
            assert_eq!(FRAME.matches(place).count(), 1, "{place}");
        }
    }

    #[test]
    fn parts_do_not_end_the_element_that_they_are_in() {
        for style in STYLES {
            assert!(!style.contains("</"), "{style}");
        }
        for script in [&[PLOTS], SCRIPTS.as_slice()].concat() {
            assert!(!script.contains("</script"), "{script}");
            assert!(!script.contains("<!--"), "{script}");
        }
    }

    #[test]
    fn scripts_make_no_elements_of_text() {
        let forbidden = [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "setAttribute(\"style\"",
        ];
        for script in [&[PLOTS], SCRIPTS.as_slice()].concat() {
            for word in forbidden {
                assert!(!script.contains(word), "{word}");
            }
        }
    }
}
