//! Where an image lies: found without asking the mount that would serve it, since a thread that waits
//! for its own process cannot be killed.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags, fstatfs, openat, readlinkat, statx};

use crate::os::mounts::{self, Mount};
use crate::os::proc;

/// Links that are followed before the path is taken for a circle, as the kernel does.
const MOST_LINKS: usize = 40;

/// A device's number.
pub(super) type Device = (u32, u32);

/// Why a path does not lead to storage that this process can use.
pub(super) enum Wrong {
    /// It leads into the mount of this process.
    InOwnMount,
    /// It leads into the mount of a server that serves from that of this process.
    InCircle,
    /// The host says so.
    Io(io::Error),
}

impl<E: Into<io::Error>> From<E> for Wrong {
    fn from(error: E) -> Self {
        Self::Io(error.into())
    }
}

/// What a path leads to; not opened, only named.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) named: OwnedFd,
    /// The path without links.
    pub(super) path: PathBuf,
}

/// The kind of a file, where it lies, and the device that it is.
pub(super) struct Identity {
    pub(super) kind: FileType,
    pub(super) on: Device,
    pub(super) is: Device,
}

impl Place {
    /// Walks along `path`, which is absolute, and looks at each step where it has led before it takes
    /// the next: `own` is the device of the mount of this process.
    pub(super) fn find(path: &Path, own: Option<Device>) -> Result<Self, Wrong> {
        let root = || {
            openat(
                rustix::fs::CWD,
                "/",
                OFlags::PATH | OFlags::CLOEXEC,
                Mode::empty(),
            )
        };
        let mut place = Self {
            named: root()?,
            path: PathBuf::from("/"),
        };
        let mut ahead = steps(path);
        let mut links = 0;
        while let Some(name) = ahead.pop() {
            let next = step(&place.named, &name)?;
            let identity = Identity::of(&next)?;
            if Some(identity.on) == own {
                return Err(Wrong::InOwnMount);
            }
            if identity.kind == FileType::Symlink {
                links += 1;
                if links > MOST_LINKS {
                    return Err(rustix::io::Errno::LOOP.into());
                }
                let target = OsString::from_vec(readlinkat(&next, "", Vec::new())?.into_bytes());
                if Path::new(&target).is_absolute() {
                    place.named = root()?;
                    place.path = PathBuf::from("/");
                }
                ahead.extend(steps(target.as_ref()));
                continue;
            }
            match name == ".." {
                true => drop(place.path.pop()),
                false => place.path.push(&name),
            }
            place.named = next;
        }
        Ok(place)
    }

    /// What is called `name` in this folder, a link perhaps; None where nothing is.
    pub(super) fn entry(&self, name: &OsStr) -> Result<Option<Self>, Wrong> {
        match step(&self.named, name) {
            Ok(named) => Ok(Some(Self {
                named,
                path: self.path.join(name),
            })),
            Err(rustix::io::Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Opens what it names: that and nothing that has taken its place.
    pub(super) fn open(&self, options: &std::fs::OpenOptions) -> io::Result<std::fs::File> {
        use std::os::fd::AsRawFd;
        options.open(format!("/proc/self/fd/{}", self.named.as_raw_fd()))
    }

    /// Why its file system has no images: it shows the kernel's own data as files.
    pub(super) fn is_of_the_kernel(&self) -> io::Result<bool> {
        let found = fstatfs(&self.named)?;
        Ok(OF_THE_KERNEL.contains(&(found.f_type as u32)))
    }
}

/// File systems whose files are not storage; include/uapi/linux/magic.h.
const OF_THE_KERNEL: [u32; 20] = [
    0x0000_9fa0, // proc
    0x6265_6572, // sysfs
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
    0x7363_6673, // securityfs
    0x0027_e0eb, // cgroup
    0x6367_7270, // cgroup2
    0xcafe_4a11, // bpf
    0xde5e_81e4, // efivarfs
    0x6165_676c, // pstore
    0x6265_6570, // configfs
    0xf97c_ff8c, // selinux
    0x4341_5d53, // smack
    0x4249_4e4d, // binfmt_misc
    0x6e73_6673, // namespaces
    0x0000_1cd1, // devpts
    0x6573_5543, // fusectl
    0x1980_0202, // message queues
    0x0904_1934, // anonymous inodes
    0x6e66_7364, // nfsd
];

impl Identity {
    /// Asks no server of a file system: what the kernel knows is enough.
    pub(super) fn of(file: impl AsFd) -> io::Result<Self> {
        let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
        let found = statx(file, "", flags, StatxFlags::TYPE)?;
        Ok(Self {
            kind: FileType::from_raw_mode(u32::from(found.stx_mode)),
            on: (found.stx_dev_major, found.stx_dev_minor),
            is: (found.stx_rdev_major, found.stx_rdev_minor),
        })
    }
}

/// The parts of a path, the last one first.
fn steps(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    });
    parts.rev().collect()
}

fn step(from: &OwnedFd, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(from, name, flags, Mode::empty())
}

/// Rejects a device whose data this process serves itself, `own` being that of its mount.
pub(super) fn must_lie_outside(device: Device, own: Option<Device>) -> Result<(), Wrong> {
    if device != (0, 0) && is_stored_in_own_mount(device) {
        return Err(Wrong::InOwnMount);
    }
    match own.is_some_and(|own| is_served_from(own, device)) {
        true => Err(Wrong::InCircle),
        false => Ok(()),
    }
}

/// Whether the block device `device` stores its data, over however many layers, in a file of the
/// mount of this process. Looked up in sysfs, by name.
fn is_stored_in_own_mount(device: Device) -> bool {
    let (major, minor) = device;
    let folder = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
    let Ok(folder) = folder.canonicalize() else {
        return false;
    };
    let mut files = Vec::new();
    backing_files(&folder, &mut files);
    let mounts = mounts::list().unwrap_or_default();
    let mut own = mounts.iter().filter(|mount| mount.is_own());
    own.any(|mount| files.iter().any(|file| file.starts_with(&mount.point)))
}

/// Whether the mount with this device is that of another server which itself serves from the mount `own`
/// of this process, over however many servers: each would wait for the other.
fn is_served_from(own: Device, device: Device) -> bool {
    let mounts = mounts::list().unwrap_or_default();
    let mut seen = vec![device];
    let mut next = 0;
    while let Some((major, minor)) = seen.get(next).copied() {
        next += 1;
        let number = format!("{major}:{minor}");
        let mount = mounts.iter().find(|mount| mount.device == number);
        for device in mount
            .and_then(Mount::server)
            .map_or(Vec::new(), proc::devices)
        {
            if !seen.contains(&device) {
                seen.push(device);
            }
        }
    }
    seen.contains(&own)
}

fn backing_files(device: &Path, files: &mut Vec<PathBuf>) {
    // A partition's folder lies in that of its disk.
    let folders = [Some(device), device.parent()];
    for folder in folders.into_iter().flatten() {
        if let Ok(file) = std::fs::read(folder.join("loop/backing_file")) {
            files.push(OsString::from_vec(file.trim_ascii_end().to_vec()).into());
        }
    }
    for below in device.join("slaves").read_dir().into_iter().flatten() {
        if let Ok(below) = below.and_then(|entry| entry.path().canonicalize()) {
            backing_files(&below, files);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(path: &Path) -> Result<PathBuf, i32> {
        let found = Place::find(path, None).map(|place| place.path);
        found.map_err(|wrong| match wrong {
            Wrong::InOwnMount | Wrong::InCircle => 0,
            Wrong::Io(error) => error.raw_os_error().unwrap(),
        })
    }

    #[test]
    fn path_is_followed_as_the_kernel_follows_it() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("a/b")).unwrap();
        std::fs::write(top.join("a/b/file"), "").unwrap();
        for (link, target) in [
            ("relative", "a/b"),
            ("a/up", "../relative/file"),
            ("circle", "circle"),
            ("dangling", "none"),
        ] {
            std::os::unix::fs::symlink(target, top.join(link)).unwrap();
        }
        std::os::unix::fs::symlink(top.join("a"), top.join("absolute")).unwrap();
        for path in [
            "a/b/file",
            "relative/file",
            "a/up",
            "absolute/up",
            "absolute/b/../b/./file",
            "relative/../b/file",
        ] {
            let path = top.join(path);
            assert_eq!(find(&path), Ok(path.canonicalize().unwrap()), "{path:?}");
        }
        assert_eq!(find(&top.join("circle")), Err(libc::ELOOP));
        assert_eq!(find(&top.join("dangling")), Err(libc::ENOENT));
        assert_eq!(find(&top.join("a/b/file/x")), Err(libc::ENOTDIR));
        assert_eq!(find("/..".as_ref()), Ok("/".into()));
    }

    #[test]
    fn path_over_a_device_of_ours_is_refused_on_the_way() {
        let of_proc = Identity::of(std::fs::File::open("/proc").unwrap())
            .unwrap()
            .on;
        let into = Place::find("/proc/self/status".as_ref(), Some(of_proc));
        assert!(matches!(into, Err(Wrong::InOwnMount)));
        assert!(Place::find("/etc".as_ref(), Some(of_proc)).is_ok());
    }
}
