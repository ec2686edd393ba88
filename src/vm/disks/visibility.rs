//! Whether an error of a disk reaches the guest that has it, or QEMU keeps it to itself.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use qapi::qmp;
use serde_json::Value;

use crate::vm::VmError;
use crate::vm::machine::Machine;
use crate::vm::qemu::arguments::{device_id, node};

/// How QEMU has a disk, as far as that decides what its guest sees of errors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::vm) struct Drive {
    /// What QEMU does when a read fails; its default without.
    pub(in crate::vm) rerror: Option<String>,
    /// What it does when a write fails; its default without.
    pub(in crate::vm) werror: Option<String>,
    /// Flushes of the guest go no further (`cache=unsafe`).
    pub(in crate::vm) no_flush: bool,
}

impl Drive {
    /// What an injected error would not get past, each with what to change; empty when the guest
    /// sees all of them.
    pub(in crate::vm) fn obstacles(&self) -> Vec<String> {
        let mut obstacles = Vec::new();
        // QEMU's defaults (-drive, qemu-system(1)): rerror=report, werror=enospc.
        let policies = [
            (
                "rerror",
                self.rerror.as_deref().unwrap_or("report"),
                "report",
            ),
            (
                "werror",
                self.werror.as_deref().unwrap_or("enospc"),
                "enospc",
            ),
        ];
        for (key, policy, default) in policies {
            let what = match if policy == "auto" { default } else { policy } {
                "report" => continue,
                "ignore" => "the guest is told that all is well",
                "enospc" => "ENOSPC pauses the VM, and the guest never hears of it",
                _ => "an error pauses the VM, and the guest never hears of it",
            };
            obstacles.push(format!("{what} ({key}={policy}): set {key}=report"));
        }
        if self.no_flush {
            let what =
                "flushes of the guest never come to the disk (cache.no-flush=on, cache=unsafe)";
            obstacles.push(format!("{what}: set cache.no-flush=off"));
        }
        obstacles
    }

    /// How a QEMU with these arguments, working in `folder`, has the file `path`; None when it was
    /// not told on its command line.
    pub(in crate::vm) fn on_command_line(
        args: &[String],
        folder: &Path,
        path: &Path,
    ) -> Option<Self> {
        let options: Vec<_> = args
            .windows(2)
            .filter_map(|pair| {
                let option = pair[0].trim_start_matches('-');
                let is_known = matches!(option, "drive" | "blockdev" | "device");
                is_known.then(|| (option, keys(&pair[1])))
            })
            .collect();
        let mut drive = Self::default();
        let mut names = HashSet::new();
        let mut is_found = args.iter().any(|word| folder.join(word) == path);
        // A format's node may stand before the one that it lies on.
        for _ in 0..options.len() {
            for (option, keys) in options.iter().filter(|(option, _)| *option != "device") {
                let of = |key: &str| keys.get(key).map(String::as_str);
                let files = ["file", "filename", "file.filename"].map(of);
                let is_on_it = files.iter().flatten().any(|file| {
                    folder.join(file) == path || (*option == "blockdev" && names.contains(*file))
                });
                if is_on_it {
                    is_found = true;
                    names.extend(
                        ["id", "node-name"]
                            .map(of)
                            .into_iter()
                            .flatten()
                            .map(str::to_owned),
                    );
                    drive.note(keys);
                }
            }
        }
        for (_, keys) in options.iter().filter(|(option, _)| *option == "device") {
            if keys.get("drive").is_some_and(|drive| names.contains(drive)) {
                drive.note(keys);
            }
        }
        is_found.then_some(drive)
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

impl Machine {
    /// How it has the disk `id`, whose block node has this number. Asks QEMU.
    pub(in crate::vm) fn drive(&mut self, id: &str, number: u32) -> Result<Drive, VmError> {
        let path = format!("/machine/peripheral/{}", device_id(id));
        let mut policy = |property: &str| {
            let answer = self.execute(&qmp::qom_get {
                path: path.clone(),
                property: property.to_owned(),
            })?;
            Ok::<_, VmError>(answer.as_str().map(str::to_owned))
        };
        let (rerror, werror) = (policy("rerror")?, policy("werror")?);
        let nodes = self.execute(&qmp::query_named_block_nodes { flat: Some(true) })?;
        let named = |info: &&qmp::BlockDeviceInfo| info.node_name.as_ref() == Some(&node(number));
        Ok(Drive {
            rerror,
            werror,
            no_flush: nodes
                .iter()
                .find(named)
                .is_some_and(|info| info.cache.no_flush),
        })
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

    fn drive(words: &str) -> Option<Drive> {
        let args: Vec<_> = words.split(' ').map(str::to_owned).collect();
        Drive::on_command_line(&args, Path::new("/work"), Path::new("/work/mnt/vda"))
    }

    #[test]
    fn a_drive_is_found_in_each_way_to_write_it() {
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
            let drive = drive(words).expect(words);
            assert_eq!(drive.obstacles(), Vec::<String>::new(), "{words}");
        }
        assert_eq!(drive("qemu -drive file=mnt/vdb"), None);
        assert!(drive("qemu -hda mnt/vda").is_some());
    }

    #[test]
    fn what_is_in_the_way_is_named_with_what_to_change() {
        let drive =
            drive("qemu -drive file=mnt/vda,cache=unsafe,rerror=ignore,werror=stop").unwrap();
        assert_eq!(
            drive.obstacles(),
            [
                "the guest is told that all is well (rerror=ignore): set rerror=report",
                "an error pauses the VM, and the guest never hears of it (werror=stop): set \
                 werror=report",
                "flushes of the guest never come to the disk (cache.no-flush=on, cache=unsafe): set \
                 cache.no-flush=off",
            ]
        );
        let default = Drive::default().obstacles();
        assert_eq!(default.len(), 1);
        assert!(default[0].contains("ENOSPC pauses the VM"), "{default:?}");
    }

    #[test]
    fn a_doubled_comma_stands_for_itself() {
        assert_eq!(keys("file=/a,,b,if=none")["file"], "/a,b");
    }
}
