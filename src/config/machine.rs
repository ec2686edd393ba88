//! The values of a profile's keys for its machine, beyond words and paths.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::units::duration::parse_duration;

/// The form of a time-out.
const TIMEOUT: &str = "a number of seconds above 0, or a duration such as \"90s\"";

/// The firmware of a machine, in place of QEMU's own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    deny_unknown_fields,
    expecting = "`firmware` expects a file for -bios, or { pflash = FILE } with or without vars = FILE"
)]
pub enum Firmware {
    /// For QEMU's `-bios`.
    Bios(PathBuf),
    /// For the flash chips of the machine.
    Flash {
        /// The code, which is read only.
        pflash: PathBuf,
        /// The variables: each VM gets a copy of its own.
        vars: Option<PathBuf>,
    },
}

impl Firmware {
    /// Its files.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let (code, vars) = match self {
            Self::Bios(code) => (code, None),
            Self::Flash { pflash, vars } => (pflash, vars.as_deref()),
        };
        [Some(code.as_path()), vars].into_iter().flatten()
    }

    /// The same, with its paths starting at `folder`.
    pub(super) fn below(&self, folder: &Path) -> Self {
        match self {
            Self::Bios(code) => Self::Bios(folder.join(code)),
            Self::Flash { pflash, vars } => Self::Flash {
                pflash: folder.join(pflash),
                vars: vars.as_ref().map(|vars| folder.join(vars)),
            },
        }
    }
}

/// The network of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Net {
    /// QEMU's user networking: the guest reaches what the host reaches.
    User,
}

/// How long a guest's agent may take to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "TimeoutText")]
pub struct AgentTimeout(pub Duration);

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "`agent_timeout` expects a number of seconds above 0, or a duration such as \"90s\""
)]
enum TimeoutText {
    Seconds(f64),
    Text(String),
}

impl TryFrom<TimeoutText> for AgentTimeout {
    type Error = String;

    fn try_from(text: TimeoutText) -> Result<Self, String> {
        let (timeout, found) = match text {
            TimeoutText::Seconds(seconds) => (
                Duration::try_from_secs_f64(seconds).ok(),
                seconds.to_string(),
            ),
            TimeoutText::Text(text) => (parse_duration(&text), format!("{text:?}")),
        };
        let timeout = timeout.filter(|timeout| !timeout.is_zero());
        let wrong = || format!("`agent_timeout` expects {TIMEOUT}, not {found}");
        timeout.map(Self).ok_or_else(wrong)
    }
}

/// A port of the host that leads to one of the guest, as QEMU's option `hostfwd` takes it. Without an address of the
/// host it is one of this host alone; QEMU's default is every address.
pub(super) fn forward(text: &str) -> Result<String, String> {
    const EXPECTED: &str =
        "PROTOCOL:[ADDRESS]:PORT-[ADDRESS]:PORT, the host's port first, such as \"tcp::2222-:22\"";
    let parsed = || {
        let (protocol, rest) = text.split_once(':')?;
        let (host, guest) = rest.split_once('-')?;
        let (address, port) = host.rsplit_once(':')?;
        let (_, guest_port) = guest.rsplit_once(':')?;
        let are_ports = [port, guest_port].map(|port| port.parse::<u16>());
        let is_known = matches!(protocol, "tcp" | "udp") && !text.contains(',');
        let address = if address.is_empty() {
            "127.0.0.1"
        } else {
            address
        };
        let is_good = is_known && are_ports.iter().all(Result::is_ok);
        is_good.then(|| format!("{protocol}:{address}:{port}-{guest}"))
    };
    parsed().ok_or_else(|| format!("`hostfwd` expects {EXPECTED}, not {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarded_port_is_one_of_this_host_alone_unless_it_has_an_address() {
        assert_eq!(forward("tcp::2222-:22").unwrap(), "tcp:127.0.0.1:2222-:22");
        assert_eq!(
            forward("udp:0.0.0.0:53-10.0.2.15:53").unwrap(),
            "udp:0.0.0.0:53-10.0.2.15:53"
        );
        for wrong in [
            "2222",
            "tcp:2222:22",
            "sctp::1-:1",
            "tcp::1-:1,restrict=on",
            "tcp::x-:1",
        ] {
            let error = forward(wrong).unwrap_err();
            assert!(error.contains("`hostfwd` expects PROTOCOL:"), "{error}");
        }
    }
}
