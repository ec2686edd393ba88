//! The users of a mount: processes that have a file of it open or work in it, loop devices, mounts on
//! top of it. This reads /proc and /sys alone: the mount itself does not have to answer.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{read_dir, read_link, read_to_string};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::os::mounts::{self, Mount};
use crate::os::proc;
use crate::units::text::shown;

/// The users of a mount, each as a phrase such as `dd (process 12) has /mnt/vda open`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users {
    /// Users in this mount namespace: they prevent unmounting.
    pub here: Vec<String>,
    /// Users in other namespaces, which have a copy of the mount.
    pub elsewhere: Vec<String>,
}

/// The mounts of one file system in a mount namespace.
type Copies = Vec<Mount>;

/// The users of `mount`, as far as this user may see them.
pub fn users(mount: &Mount) -> Users {
    let mut users = Users::default();
    let mut known: HashMap<PathBuf, Copies> = HashMap::new();
    let namespace = |pid: &str| read_link(format!("/proc/{pid}/ns/mnt"));
    let ours = namespace("self").unwrap_or_default();
    let own = read_link("/proc/self").unwrap_or_default();
    let others = proc::processes().filter(|pid| Path::new(&pid.to_string()) != own);
    for pid in others {
        let Ok(place) = namespace(&pid.to_string()) else {
            continue;
        };
        let copies = known
            .entry(place.clone())
            .or_insert_with(|| copies(pid, mount));
        if copies.is_empty() {
            continue;
        }
        if let Some(use_of_it) = use_by(pid, copies) {
            let phrase = format!("{} (process {pid}) {use_of_it}", name(pid));
            match place == ours {
                true => users.here.push(phrase),
                false => users.elsewhere.push(phrase),
            }
        }
    }
    let all: Vec<_> = known.into_values().flatten().collect();
    users.here.extend(loop_devices(&all));
    users.here.extend(mounts_on(mount));
    users
}

/// The other places of this mount namespace where the file system of `mount` is mounted.
pub fn other_places(mount: &Mount) -> Vec<PathBuf> {
    let all = mounts::list().unwrap_or_default().into_iter();
    let others = all.filter(|other| other.device == mount.device && other.number != mount.number);
    others.map(|other| other.point).collect()
}

fn copies(pid: u32, mount: &Mount) -> Copies {
    let mut all = mounts::list_of(pid).unwrap_or_default();
    all.retain(|other| other.device == mount.device);
    all
}

/// The name of the program of a process; for a thread of the kernel, the name of the thread.
fn name(pid: u32) -> String {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let program = line.split(|byte| *byte == 0).next().unwrap_or_default();
    match Path::new(OsStr::from_bytes(program)).file_name() {
        Some(name) => shown(name),
        None => shown(
            read_to_string(format!("/proc/{pid}/comm"))
                .unwrap_or_default()
                .trim_end(),
        ),
    }
}

/// The way in which the process uses one of these mounts.
fn use_by(pid: u32, copies: &Copies) -> Option<String> {
    let is_inside = |path: &Path| copies.iter().any(|copy| path.starts_with(&copy.point));
    let open = open_file(pid, copies).map(|path| format!("has {} open", shown(path)));
    let folder = |link: &str, does: &str| {
        let path = read_link(format!("/proc/{pid}/{link}")).ok()?;
        is_inside(&path).then(|| format!("{does} {}", shown(path)))
    };
    open.or_else(|| folder("cwd", "works in"))
        .or_else(|| folder("root", "has its root in"))
        .or_else(|| mapped_file(pid, copies).map(|path| format!("has {} mapped", shown(path))))
}

/// A file that the process has open in one of these mounts, by the number of the mount.
fn open_file(pid: u32, copies: &Copies) -> Option<PathBuf> {
    let mut descriptors = read_dir(format!("/proc/{pid}/fdinfo")).ok()?.flatten();
    descriptors.find_map(|entry| {
        let info = read_to_string(entry.path()).ok()?;
        let number = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?;
        let number: u64 = number.trim().parse().ok()?;
        let is_one = copies.iter().any(|copy| copy.number == number);
        let link = Path::new("/proc").join(pid.to_string()).join("fd");
        is_one.then(|| read_link(link.join(entry.file_name())).unwrap_or_default())
    })
}

/// A file of one of these mounts that the process has mapped, even if it has closed it.
fn mapped_file(pid: u32, copies: &Copies) -> Option<String> {
    let (major, minor) = copies.first()?.device.split_once(':')?;
    let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    let device = format!("{major:02x}:{minor:02x}");
    let maps = std::fs::read(format!("/proc/{pid}/maps")).ok()?;
    let maps = String::from_utf8_lossy(&maps).into_owned();
    maps.lines().find_map(|line| {
        let mut words = line.split_whitespace().skip(3);
        let is_it = words.next() == Some(&device);
        is_it.then(|| words.skip(1).collect::<Vec<_>>().join(" "))
    })
}

/// The loop devices whose file lies in one of these mounts.
fn loop_devices(copies: &Copies) -> Vec<String> {
    let devices = read_dir("/sys/block").into_iter().flatten().flatten();
    let on_it = devices.filter_map(|device| {
        let file = std::fs::read(device.path().join("loop/backing_file")).ok()?;
        let file = String::from_utf8_lossy(file.trim_ascii_end()).into_owned();
        let is_on_it = copies
            .iter()
            .any(|copy| Path::new(&file).starts_with(&copy.point));
        let device = device.file_name().to_string_lossy().into_owned();
        is_on_it.then(|| format!("the loop device /dev/{device} is on {}", shown(file)))
    });
    on_it.collect()
}

/// The mounts on its files and folders.
fn mounts_on(mount: &Mount) -> Vec<String> {
    let number = mount.number.to_string();
    let list = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
    let lines = String::from_utf8_lossy(&list).into_owned();
    let on_it = lines.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let is_on_it = words.next() == Some(&number);
        is_on_it.then(|| format!("{} is a mount on it", words.nth(2).unwrap_or_default()))
    });
    on_it.collect()
}
