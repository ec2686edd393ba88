//! Whether an error of a disk reaches the guest that has it, or QEMU keeps it to itself.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use qapi::qmp;
use serde_json::Value;

use crate::config::DiskBus;
use crate::vm::VmError;
use crate::vm::machine::Machine;
use crate::vm::qemu::drive::Drive;

/// What a QEMU does about the errors of a disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::vm) struct ErrorHandling {
    /// What QEMU does when a read fails; its default without.
    rerror: Option<String>,
    /// What it does when a write fails; its default without.
    werror: Option<String>,
    /// Flushes of the guest go no further (`cache=unsafe`).
    no_flush: bool,
}

impl ErrorHandling {
    /// The settings that keep an injected error from the guest, each with the change to make. Empty when the guest
    /// sees all errors.
    pub(in crate::vm) fn obstacles(&self) -> Vec<String> {
        // QEMU's defaults (-drive, qemu-system(1)): rerror=report, werror=enospc.
        let rerror = obstacle("rerror", self.rerror.as_deref(), "report");
        let werror = obstacle("werror", self.werror.as_deref(), "enospc");
        let what = "flushes of the guest never come to the disk (cache.no-flush=on, cache=unsafe)";
        let flushes = self
            .no_flush
            .then(|| format!("{what}: set cache.no-flush=off"));
        [rerror, werror, flushes].into_iter().flatten().collect()
    }

    /// How a QEMU with these arguments, working in `folder`, treats errors of the file `path`; None when
    /// the file is not on its command line.
    pub(in crate::vm) fn on_command_line(
        args: &[String],
        folder: &Path,
        path: &Path,
    ) -> Option<Self> {
        let options = options(args);
        let mut handling = Self::default();
        let mut names = HashSet::new();
        let mut is_found = args.iter().any(|word| folder.join(word) == path);
        // A format's node may stand before the one that it lies on.
        for _ in 0..options.len() {
            for option in options.iter().filter(|option| option.kind != "device") {
                if option.is_on(folder, path, &names) {
                    is_found = true;
                    names.extend(option.names());
                    handling.note(&option.keys);
                }
            }
        }
        for option in options.iter().filter(|option| option.kind == "device") {
            if option
                .get("drive")
                .is_some_and(|drive| names.contains(drive))
            {
                handling.note(&option.keys);
            }
        }
        is_found.then_some(handling)
    }

    fn note(&mut self, keys: &BTreeMap<String, String>) {
        for (key, known) in [("rerror", &mut self.rerror), ("werror", &mut self.werror)] {
            if let Some(policy) = keys.get(key) {
                *known = Some(policy.clone());
            }
        }
        let no_flush = ["cache.no-flush", "file.cache.no-flush"].map(|key| keys.get(key));
        let is_on = |value: &&String| matches!(value.as_str(), "on" | "true" | "yes");
        self.no_flush |= no_flush.iter().flatten().any(is_on);
        self.no_flush |= keys.get("cache").is_some_and(|cache| cache == "unsafe");
    }
}

/// How the policy of `key` keeps an error from the guest, with the change to make.
fn obstacle(key: &str, policy: Option<&str>, default: &str) -> Option<String> {
    let policy = policy.unwrap_or(default);
    let what = match if policy == "auto" { default } else { policy } {
        "report" => return None,
        "ignore" => "the guest is told that all is well",
        "enospc" => "ENOSPC pauses the VM, and the guest never hears of it",
        _ => "an error pauses the VM, and the guest never hears of it",
    };
    Some(format!("{what} ({key}={policy}): set {key}=report"))
}

impl Machine {
    /// How it treats errors of `drive`. Asks QEMU.
    pub(in crate::vm) fn error_handling(
        &mut self,
        drive: &Drive,
    ) -> Result<ErrorHandling, VmError> {
        let path = format!("/machine/peripheral/{}", drive.device_id());
        let has_policy = drive.hardware.bus != DiskBus::Nvme;
        let mut policy = |property: &str| {
            if !has_policy {
                return Ok(Some("report".to_owned()));
            }
            let answer = self.execute(&qmp::qom_get {
                path: path.clone(),
                property: property.to_owned(),
            })?;
            Ok::<_, VmError>(answer.as_str().map(str::to_owned))
        };
        let (rerror, werror) = (policy("rerror")?, policy("werror")?);
        let nodes = self.execute(&qmp::query_named_block_nodes { flat: Some(true) })?;
        let node = drive.node();
        let own = nodes
            .iter()
            .find(|info| info.node_name.as_ref() == Some(&node));
        Ok(ErrorHandling {
            rerror,
            werror,
            no_flush: own.is_some_and(|info| info.cache.no_flush),
        })
    }
}

/// An option of a command line that may be about a disk.
struct DiskOption<'a> {
    /// `drive`, `blockdev` or `device`.
    kind: &'a str,
    keys: BTreeMap<String, String>,
}

/// Those of `args`.
fn options(args: &[String]) -> Vec<DiskOption<'_>> {
    let pairs = args
        .iter()
        .zip(args.iter().skip(1))
        .filter_map(|(word, value)| {
            let kind = word.trim_start_matches('-');
            let is_known = matches!(kind, "drive" | "blockdev" | "device");
            is_known.then(|| DiskOption {
                kind,
                keys: keys(value),
            })
        });
    pairs.collect()
}

impl DiskOption<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }

    /// Whether it lies on the file `path`, or on one of the block nodes `names`.
    fn is_on(&self, folder: &Path, path: &Path, names: &HashSet<String>) -> bool {
        let files = ["file", "filename", "file.filename"].map(|key| self.get(key));
        files.iter().flatten().any(|file| {
            folder.join(file) == path || (self.kind == "blockdev" && names.contains(*file))
        })
    }

    fn names(&self) -> impl Iterator<Item = String> {
        let names = ["id", "node-name"].map(|key| self.get(key));
        names.into_iter().flatten().map(str::to_owned)
    }
}

/// The keys of an option's value: JSON, flattened, or `key=value` with commas, of which a doubled one
/// stands for itself.
fn keys(value: &str) -> BTreeMap<String, String> {
    let mut keys = BTreeMap::new();
    if let Ok(Value::Object(object)) = serde_json::from_str(value) {
        flatten("", &Value::Object(object), &mut keys);
        return keys;
    }
    let value = value.replace(",,", "\0");
    for word in value.split(',') {
        if let Some((key, value)) = word.split_once('=') {
            keys.insert(key.to_owned(), value.replace('\0', ","));
        }
    }
    keys
}

fn flatten(prefix: &str, value: &Value, keys: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let dot = if prefix.is_empty() { "" } else { "." };
                flatten(&format!("{prefix}{dot}{key}"), value, keys);
            }
        }
        Value::String(text) => drop(keys.insert(prefix.to_owned(), text.clone())),
        other => drop(keys.insert(prefix.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handling(words: &str) -> Option<ErrorHandling> {
        let args: Vec<_> = words.split(' ').map(str::to_owned).collect();
        ErrorHandling::on_command_line(&args, Path::new("/work"), Path::new("/work/mnt/vda"))
    }

    #[test]
    fn command_line_is_searched_for_a_drive_in_each_way_to_write_it() {
        let reports = "werror=report,rerror=report";
        for words in [
            &format!("qemu -drive file=mnt/vda,if=virtio,{reports}"),
            &format!(
                "qemu -drive file=/work/mnt/vda,id=d,if=none -device virtio-blk-pci,drive=d,{reports}"
            ),
            &format!(
                "qemu -blockdev driver=file,node-name=f,filename=mnt/vda -device x,drive=f,{reports}"
            ),
            &format!(
                "qemu -blockdev driver=raw,node-name=r,file=f -blockdev \
                 {{\"driver\":\"file\",\"node-name\":\"f\",\"filename\":\"mnt/vda\"}} -device x,drive=r,{reports}"
            ),
        ] {
            let handling = handling(words).expect(words);
            assert_eq!(handling.obstacles(), Vec::<String>::new(), "{words}");
        }
        assert_eq!(handling("qemu -drive file=mnt/vdb"), None);
        assert!(handling("qemu -hda mnt/vda").is_some());
    }

    #[test]
    fn obstacle_is_named_with_what_to_change() {
        let handling =
            handling("qemu -drive file=mnt/vda,cache=unsafe,rerror=ignore,werror=stop").unwrap();
        assert_eq!(
            handling.obstacles(),
            [
                "the guest is told that all is well (rerror=ignore): set rerror=report",
                "an error pauses the VM, and the guest never hears of it (werror=stop): set \
                 werror=report",
                "flushes of the guest never come to the disk (cache.no-flush=on, cache=unsafe): set \
                 cache.no-flush=off",
            ]
        );
        let default = ErrorHandling::default().obstacles();
        assert_eq!(default.len(), 1);
        assert!(default[0].contains("ENOSPC pauses the VM"), "{default:?}");
    }

    #[test]
    fn comma_that_is_doubled_stands_for_itself() {
        assert_eq!(keys("file=/a,,b,if=none")["file"], "/a,b");
    }
}
