//! Why a call from Lua failed.

use crate::client::{ClientError, DataError};
use crate::vm::VmError;

/// The result of a call from Lua.
pub(in crate::script) type CallResult<T> = Result<T, CallError>;

/// Why a call failed. The layers below do not know the names of calls; this adds them.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::script) enum CallError {
    /// The reason. The name of the call is put in front of it, as in `disk:size: REASON`.
    Reason(String),
    /// A whole message, which names the call in its own way.
    Message(String),
}

impl CallError {
    /// The reason alone.
    pub(in crate::script) fn reason(&self) -> &str {
        match self {
            Self::Reason(text) | Self::Message(text) => text,
        }
    }

    /// The message that the test sees.
    pub(in crate::script) fn message(self, call: &str) -> String {
        match self {
            Self::Reason(reason) => format!("{call}: {reason}"),
            Self::Message(message) => message,
        }
    }
}

impl From<String> for CallError {
    fn from(reason: String) -> Self {
        Self::Reason(reason)
    }
}

impl From<&str> for CallError {
    fn from(reason: &str) -> Self {
        Self::Reason(reason.to_owned())
    }
}

impl From<VmError> for CallError {
    fn from(error: VmError) -> Self {
        match error {
            VmError::NotExpected { text, console } => Self::Message(format!(
                "console:expect timed out waiting for `{text}`\n{console}"
            )),
            error => Self::Reason(error.to_string()),
        }
    }
}

impl From<ClientError> for CallError {
    fn from(error: ClientError) -> Self {
        Self::Reason(error.to_string())
    }
}

impl From<DataError> for CallError {
    fn from(error: DataError) -> Self {
        Self::Reason(error.to_string())
    }
}

impl From<mlua::Error> for CallError {
    fn from(error: mlua::Error) -> Self {
        Self::Reason(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_error_puts_the_name_of_the_call_before_a_reason() {
        let error = CallError::from("disk is detached");
        assert_eq!(error.message("disk:size"), "disk:size: disk is detached");
    }

    #[test]
    fn call_error_of_expect_has_the_text_of_the_documents() {
        let error = CallError::from(VmError::NotExpected {
            text: "X".into(),
            console: "the end".into(),
        });
        let message = "console:expect timed out waiting for `X`\nthe end";
        assert_eq!(error.message("console:expect"), message);
    }
}
