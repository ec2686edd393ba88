//! Rules: whatever parses prints as text that parses to the same; whatever does not is one sentence.

use provium::fault::{Arming, Edit, FaultSet, parse_edits, parse_rule};

pub fn run(data: &[u8]) {
    let edits = match parse_edits(data) {
        Ok(edits) => edits,
        Err(error) => return assert!(!error.to_string().contains('\n')),
    };
    for edit in &edits {
        if let Edit::Add(rule) = edit {
            assert_eq!(parse_rule(&rule.to_string(), 1).as_ref(), Ok(rule));
        }
    }
    // Fails only for a tag that nothing has.
    let _ = FaultSet::default().edited(&edits, Arming::default());
}
