//! How a line of the log looks: in a file, and in the journal.

use std::fmt;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::units::text;

/// The form of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineFormat {
    /// `TIME LEVEL [PID] MESSAGE`, with the time in UTC.
    File,
    /// `<PRIORITY>MESSAGE`: the journal adds the others.
    Journal,
}

impl LineFormat {
    /// The lines of an event, of which `text` may come from elsewhere: none of them looks like another event, or
    /// controls a terminal.
    pub(super) fn lines(self, text: &str) -> String {
        let (prefix, text) = match (self, text.find('>')) {
            (Self::Journal, Some(end)) => text.split_at(end + 1),
            _ => ("", text),
        };
        let text = text::harmless(text.trim_end());
        let next = format!("\n{prefix}    ");
        format!("{prefix}{}\n", text.replace('\n', &next))
    }
}

impl<S, N> FormatEvent<S, N> for LineFormat
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let level = *event.metadata().level();
        match self {
            Self::Journal => write!(writer, "<{}>", priority(level))?,
            Self::File => {
                SystemTime.format_time(&mut writer)?;
                write!(writer, " {level:5} [{}] ", std::process::id())?;
            }
        }
        context.format_fields(writer.by_ref(), event)?;
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>() {
                write!(writer, " ({fields})")?;
            }
        }
        writeln!(writer)
    }
}

/// The priority of syslog(3) for a level, by which the journal sorts lines.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_forges_no_line() {
        let text = "time INFO [1] image a\x1b[2J\n2026 ERROR [1] forged\n";
        assert_eq!(
            LineFormat::File.lines(text),
            "time INFO [1] image a\\u{1b}[2J\n    2026 ERROR [1] forged\n"
        );
        assert_eq!(
            LineFormat::Journal.lines("<4>a\n<0>b\n"),
            "<4>a\n<4>    <0>b\n"
        );
    }
}
