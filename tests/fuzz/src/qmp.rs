//! A QEMU that answers anything at all, and sends events: each command ends with an answer or an error.

use provium::vm::answers;

use super::peer;

pub fn run(data: &[u8]) {
    let (ours, _theirs) = peer::that_sent(data);
    for answer in answers::of_qemu(ours) {
        if let Err(error) = answer {
            assert!(!error.to_string().is_empty());
        }
    }
}
