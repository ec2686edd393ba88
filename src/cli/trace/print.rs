//! A line of a trace: as columns for people, or as JSON.

use std::io::{self, Write};

use console::{Style, style};
use serde_json::{Value, json};

use super::merge::Line;
use crate::cli::target::Target;
use crate::client::DiskControl;
use crate::protocol::{Answered, Completion, DiskEvent, NO_RULES, Note, Noted, TraceLine, Verdict};
use crate::units::text::printable;

/// How lines are printed.
pub(super) struct Printer {
    json: bool,
    /// The width of the column of IDs; none for one disk.
    id_width: Option<usize>,
}

impl Printer {
    pub(super) fn new(json: bool, target: &Target) -> Self {
        let id_width = match target {
            Target::Mount(_) => Some(0),
            Target::Disk(_) => None,
        };
        Self { json, id_width }
    }

    /// Prints what stands before the lines. From here on no request of `disks` is missed.
    pub(super) fn begin(&mut self, disks: &[DiskControl]) -> io::Result<()> {
        let ids: Vec<_> = disks.iter().map(DiskControl::id).collect();
        let widest = ids.iter().map(|id| id.len()).max().unwrap_or_default();
        self.id_width = self.id_width.map(|_| widest.max("DISK".len()));
        let mut out = io::stdout().lock();
        match self.json {
            true => writeln!(out, "{}", json!({ "type": "start", "disks": ids }))?,
            false => writeln!(out, "{}{HEAD}", self.place("TIME", "DISK"))?,
        }
        out.flush()
    }

    /// The line, as text or JSON.
    pub(super) fn line(&self, line: &Line) -> String {
        match self.json {
            true => json_of(line).to_string(),
            false => self.text(line),
        }
    }

    /// The columns before those of a request.
    fn place(&self, time: &str, id: &str) -> String {
        match self.id_width {
            Some(width) => format!("{time:>15}  {id:width$}  "),
            None => format!("{time:>15}  "),
        }
    }

    fn text(&self, Line { id, line }: &Line) -> String {
        match line {
            TraceLine::Answered(request) => self.request(id, request),
            TraceLine::Noted(noted) => {
                let time = format!("{:.6}", noted.time.as_secs_f64());
                let note = style(printable(&noted.note.to_string())).bold();
                format!("{}{note}", self.place(&time, id))
            }
            TraceLine::Lost(_) => format!("{}{line}", self.place("-", id)),
        }
    }

    fn request(&self, id: &str, request: &Answered<'_>) -> String {
        let Answered {
            op, sector, count, ..
        } = request;
        let time = format!("{:.6}", request.time.as_secs_f64());
        let latency = format!("{:.3}ms", request.latency.as_secs_f64() * 1000.0);
        // Styles do not count as width.
        let verdict = format!("{:12}", request.verdict.to_string());
        let verdict = style_of(&request.verdict).apply_to(verdict);
        let place = self.place(&time, id);
        format!(
            "{place}{:7}  {sector:>10}  {count:>6}  {latency:>11}  {verdict}  {}",
            op.name(),
            request.rules
        )
    }
}

const HEAD: &str = "OP           SECTOR   COUNT      LATENCY  VERDICT       RULES";

/// An error is red, another effect of rules yellow.
fn style_of(verdict: &Verdict) -> Style {
    match verdict.completion {
        Completion::Done if verdict.effects.is_empty() => Style::new(),
        Completion::Done => Style::new().yellow(),
        Completion::Injected(_) | Completion::PowerOff => Style::new().red(),
        Completion::Host(_) => Style::new().red().bold(),
    }
}

fn json_of(Line { id, line }: &Line) -> Value {
    match line {
        TraceLine::Answered(request) => request_json(id, request),
        TraceLine::Noted(noted) => noted_json(id, noted),
        TraceLine::Lost(lines) => json!({ "type": "lost", "id": **id, "lines": lines }),
    }
}

fn request_json(id: &str, request: &Answered<'_>) -> Value {
    let (result, errno) = match request.verdict.completion {
        Completion::Done => ("ok", None),
        Completion::Injected(errno) => ("injected", Some(errno.to_string())),
        Completion::Host(errno) => ("host", Some(errno.to_string())),
        Completion::PowerOff => ("power_off", Some("EIO".to_owned())),
    };
    let effects = request.verdict.effects.iter().map(|effect| effect.name());
    let rules = request.rules.split("; ").filter(|rule| *rule != NO_RULES);
    json!({
        "type": "request",
        "id": id,
        "sequence": request.sequence,
        "time_seconds": request.time.as_secs_f64(),
        "op": request.op.name(),
        "sector": request.sector,
        "sectors": request.count,
        "verdict": request.verdict.to_string(),
        "effects": effects.collect::<Vec<_>>(),
        "result": result,
        "errno": errno,
        "latency_seconds": request.latency.as_secs_f64(),
        "rules": rules.collect::<Vec<_>>(),
    })
}

fn noted_json(id: &str, noted: &Noted) -> Value {
    let (kind, text) = match &noted.note {
        Note::Mark(text) => ("mark", text.clone()),
        Note::Disk(event) => (event_name(event), event.to_string()),
    };
    json!({
        "type": kind,
        "id": id,
        "sequence": noted.sequence,
        "time_seconds": noted.time.as_secs_f64(),
        "text": text,
    })
}

fn event_name(event: &DiskEvent) -> &'static str {
    match event {
        DiskEvent::Cut(..) => "power_cut",
        DiskEvent::On => "power_on",
        DiskEvent::Checkpoint(_) => "checkpoint",
        DiskEvent::Evicted { .. } => "evicted",
        DiskEvent::LogStopped(_) => "log_stopped",
    }
}
