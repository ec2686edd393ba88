//! The tracebacks of Lua. The names of files and functions in them may have any text.

/// The lines of an error without its traceback, if that names nothing but the place that the error begins with.
pub(super) fn without_short_traceback<'a>(lines: &[&'a str]) -> Vec<&'a str> {
    let Some(at) = lines.iter().position(|line| *line == "stack traceback:") else {
        return lines.to_vec();
    };
    let (message, traceback) = lines.split_at(at);
    let is_frame = |line: &&&str| line.starts_with('\t');
    let (frames, rest): (Vec<_>, Vec<_>) = traceback[1..].iter().partition(is_frame);
    let frames: Vec<_> = frames
        .into_iter()
        .filter(|line: &&&str| **line != "\t(...tail calls...)")
        .collect();
    let is_known = frames.iter().all(|frame| {
        let begins = |place: &str| message.iter().any(|line| line.starts_with(place));
        places_of_frame(&frame[1..]).any(begins)
    });
    let message = message.iter();
    match is_known && frames.len() < 2 {
        true => message.chain(rest).copied().collect(),
        false => message
            .chain([&lines[at]])
            .chain(frames)
            .chain(rest)
            .copied()
            .collect(),
    }
}

/// What may be the place that a line of a traceback is about: the names of its file and function may have any text.
pub fn places_of_frame(frame: &str) -> impl Iterator<Item = &str> {
    let ends = frame.match_indices(": in ").map(|(at, _)| &frame[..at]);
    ends.filter(|place| *place == "[C]" || place.ends_with(|c: char| c.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shortened(text: &str) -> String {
        let lines: Vec<_> = text.lines().collect();
        without_short_traceback(&lines).join("\n")
    }

    #[test]
    fn traceback_goes_if_it_names_the_place_of_the_message_only() {
        let names = [
            "a",
            "(...tail calls...)",
            ": in x",
            "b:7: in c",
            " d",
            "\te",
        ];
        for name in names {
            let place = format!("{name}.test.lua:1");
            let traceback =
                format!("stack traceback:\n\t(...tail calls...)\n\t{place}: in function <{place}>");
            let placed = format!("{place}: bad");
            assert_eq!(shortened(&format!("{placed}\n{traceback}")), placed);
            let traceback = traceback.replace("\t(...tail calls...)\n", "");
            let unplaced = format!("bad\n{traceback}");
            assert_eq!(shortened(&unplaced), unplaced);
        }
    }

    #[test]
    fn traceback_with_another_place_stays() {
        let text = "a.test.lua:1: bad\nstack traceback:\n\ta.test.lua:1: in local 'f'\n\t\
                    a.test.lua:3: in function <a.test.lua:2>";
        assert_eq!(shortened(text), text);
    }
}
