//! Rules: whatever parses prints as text that parses to the same; whatever does not is one sentence. An
//! errno is a number that the kernel carries, wherever one stands.

use provium::fault::{Arming, Edit, FaultSet, parse_edits, parse_rule};

use super::errno;

pub fn run(data: &[u8]) {
    for number in errno::any(data) {
        for rule in ["error errno=", "hang then=", "tear keep=1 then="] {
            let rule = parse_rule(&format!("{rule}{number}"), 1);
            assert_eq!(
                rule.is_ok(),
                errno::is_carried(number),
                "{number}: {rule:?}"
            );
        }
    }
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
