//! The command by which this distribution installs a package.

use std::fs;

/// A package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manager {
    Apt,
    Dnf,
    Pacman,
    /// Another one, whose names of packages are not known.
    Unknown,
}

/// What provium needs of a distribution.
#[derive(Clone, Copy, Debug)]
pub(super) enum Package {
    /// fusermount3.
    Fuse,
    /// QEMU for x86, and qemu-img.
    Qemu,
}

impl Manager {
    /// That of this system.
    pub(super) fn find() -> Self {
        let release = ["/etc/os-release", "/usr/lib/os-release"];
        let text = release
            .iter()
            .find_map(|path| fs::read_to_string(path).ok());
        Self::of(&text.unwrap_or_default())
    }

    /// That of the system with this os-release: of the distribution itself, or of one that it is like.
    fn of(release: &str) -> Self {
        let value = |key: &str| {
            let mut lines = release.lines();
            let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            value
                .unwrap_or_default()
                .trim_matches(['"', '\''])
                .to_owned()
        };
        let ids = format!("{} {}", value("ID"), value("ID_LIKE"));
        let known = ids.split_whitespace().find_map(|id| match id {
            "debian" | "ubuntu" => Some(Self::Apt),
            "fedora" | "rhel" | "centos" => Some(Self::Dnf),
            "arch" | "archlinux" => Some(Self::Pacman),
            _ => None,
        });
        known.unwrap_or(Self::Unknown)
    }

    /// The command that installs `package`. The names are those of mnt-helpers/install.sh.
    pub(super) fn install(self, package: Package) -> String {
        let names = match (self, package) {
            (_, Package::Fuse) => "fuse3",
            (Self::Apt | Self::Unknown, Package::Qemu) => "qemu-system-x86 qemu-utils",
            (Self::Dnf, Package::Qemu) => "qemu-system-x86-core qemu-img",
            (Self::Pacman, Package::Qemu) => "qemu-system-x86 qemu-img",
        };
        match self {
            Self::Apt => format!("sudo apt-get install -y --no-install-recommends {names}"),
            Self::Dnf => format!("sudo dnf install -y --setopt=install_weak_deps=False {names}"),
            Self::Pacman => format!("sudo pacman -S --needed {names}"),
            Self::Unknown => {
                format!(
                    "your package manager: Debian's packages are {}",
                    names.replace(' ', " and ")
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manager_is_that_of_the_distribution_or_of_one_that_it_is_like() {
        for (release, manager) in [
            ("NAME=x\nID=debian\n", Manager::Apt),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", Manager::Apt),
            ("ID=fedora\nVERSION_ID=42\n", Manager::Dnf),
            (
                "ID=\"almalinux\"\nID_LIKE=\"rhel centos fedora\"\n",
                Manager::Dnf,
            ),
            ("ID=arch\n", Manager::Pacman),
            ("ID='manjaro'\nID_LIKE='arch'\n", Manager::Pacman),
            (
                "ID=opensuse-leap\nID_LIKE=\"suse opensuse\"\n",
                Manager::Unknown,
            ),
            ("VARIANT_ID=debian\n", Manager::Unknown),
            ("", Manager::Unknown),
        ] {
            assert_eq!(Manager::of(release), manager, "{release}");
        }
    }

    #[test]
    fn packages_have_the_names_that_setup_installs_them_by() {
        let table = concat!(env!("CARGO_MANIFEST_DIR"), "/mnt-helpers/install.sh");
        let table = fs::read_to_string(table).unwrap();
        let managers = [Manager::Apt, Manager::Dnf, Manager::Pacman];
        for (package, debian) in [
            (Package::Fuse, &["fuse3"][..]),
            (Package::Qemu, &["qemu-system-x86", "qemu-utils"]),
        ] {
            for (column, manager) in managers.into_iter().enumerate() {
                let command = manager.install(package);
                for name in debian {
                    let line = table
                        .lines()
                        .find(|line| line.starts_with(&format!("{name} ")));
                    let name = line.unwrap().split(' ').nth(column).unwrap();
                    assert!(
                        command.split(' ').any(|word| word == name),
                        "{name}: {command}"
                    );
                }
            }
        }
    }
}
