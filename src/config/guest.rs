//! The built-in guests: their names, and the command that builds one.

/// The profile that a test has unless it says otherwise, and its guest.
pub const DEFAULT_PROFILE: &str = "default";
/// The guest with RAID, device-mapper, more file systems and buses.
pub const STORAGE_GUEST: &str = "storage";
/// All of them. A profile of the same name exists without a configuration.
pub const GUESTS: [&str; 2] = [DEFAULT_PROFILE, STORAGE_GUEST];

/// The command that builds the guest `name`.
pub fn build_command(name: &str) -> String {
    match name {
        DEFAULT_PROFILE => "provium guest build".into(),
        name => format!("provium guest build {name}"),
    }
}
