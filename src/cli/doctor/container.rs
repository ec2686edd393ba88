//! Whether this system is a container, of which kind, and what such a container has to be started with.

use std::path::Path;

/// A kind of container, by what started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Docker,
    Podman,
    Kubernetes,
    Lxc,
    Nspawn,
    /// One that left a mark which says no more.
    Unknown,
}

/// The container that this process runs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) kind: Kind,
    /// Its root is an ordinary user of the host.
    pub(super) is_rootless: bool,
    /// It is the container of a GitHub job.
    pub(super) is_github: bool,
}

impl Container {
    /// The container of this process; None on a machine of its own.
    pub(super) fn find() -> Option<Self> {
        Self::at(Path::new("/"), |name| std::env::var(name).ok())
    }

    /// That of the system whose root is at `root`, by the marks that container managers leave.
    fn at(root: &Path, variable: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let map = std::fs::read_to_string(root.join("proc/self/uid_map")).unwrap_or_default();
        let mut words = map.split_whitespace();
        let root_is = (words.next(), words.next());
        Some(Self {
            kind: kind(root, &variable)?,
            is_rootless: matches!(root_is, (Some("0"), Some(outside)) if outside != "0"),
            is_github: variable("GITHUB_ACTIONS").is_some(),
        })
    }

    /// What it is, in words.
    pub(super) fn name(self) -> String {
        let rootless = if self.is_rootless { "rootless " } else { "" };
        let job = if self.is_github {
            ", in a GitHub job"
        } else {
            ""
        };
        let kind = match self.kind {
            Kind::Docker => "a {}container of Docker",
            Kind::Podman => "a {}container of Podman",
            Kind::Kubernetes => "a {}container of Kubernetes",
            Kind::Lxc => "a {}container of LXC",
            Kind::Nspawn => "a {}container of systemd-nspawn",
            Kind::Unknown => "a {}container",
        };
        kind.replace("{}", rootless) + job
    }

    /// How to start one that has `device` and, for FUSE, the right to mount.
    pub(super) fn start_with(self, device: &str) -> String {
        let mounts = device == "/dev/fuse";
        let right = |right: &str| {
            if mounts {
                right.to_owned()
            } else {
                String::new()
            }
        };
        if self.is_github {
            let options = format!(
                "--device {device}{}",
                right(" --cap-add SYS_ADMIN --security-opt apparmor=unconfined")
            );
            return format!("in the workflow, `container: {{ image: ..., options: {options} }}`");
        }
        match self.kind {
            Kind::Podman => format!(
                "podman run --device {device}{} ...",
                right(" --cap-add SYS_ADMIN --security-opt label=disable")
            ),
            Kind::Docker | Kind::Unknown => format!(
                "docker run --device {device}{} ...",
                right(" --cap-add SYS_ADMIN --security-opt apparmor=unconfined")
            ),
            Kind::Kubernetes => {
                "`securityContext: { privileged: true }` for the container, in its pod".into()
            }
            Kind::Lxc => {
                let name = device.trim_start_matches('/');
                format!(
                    "`lxc.mount.entry = {device} {name} none bind,create=file` in its configuration"
                )
            }
            Kind::Nspawn => format!(
                "systemd-nspawn --bind {device} --property DeviceAllow='{device} rw'{} ...",
                right(" --capability CAP_SYS_ADMIN")
            ),
        }
    }
}

fn kind(root: &Path, variable: &impl Fn(&str) -> Option<String>) -> Option<Kind> {
    if variable("KUBERNETES_SERVICE_HOST").is_some() {
        return Some(Kind::Kubernetes);
    }
    if root.join("run/.containerenv").exists() {
        return Some(Kind::Podman);
    }
    if root.join(".dockerenv").exists() {
        return Some(Kind::Docker);
    }
    let read = |path: &str| std::fs::read(root.join(path)).ok();
    // Podman, LXC and nspawn set a variable for the first process; systemd in a container keeps its value in a file.
    let environment = read("proc/1/environ").unwrap_or_default();
    let mut variables = environment.split(|byte| *byte == 0);
    let first = variables.find_map(|variable| variable.strip_prefix(b"container="));
    let said = first.map(|name| String::from_utf8_lossy(name).into_owned());
    let said = said.or_else(|| {
        let name = read("run/systemd/container")?;
        Some(String::from_utf8_lossy(&name).trim().to_owned())
    });
    let said = said.or_else(|| variable("container"));
    if let Some(name) = said {
        return Some(match name.as_str() {
            "docker" => Kind::Docker,
            "podman" | "oci" => Kind::Podman,
            "lxc" | "lxc-libvirt" => Kind::Lxc,
            "systemd-nspawn" => Kind::Nspawn,
            _ => Kind::Unknown,
        });
    }
    let groups = read("proc/1/cgroup").unwrap_or_default();
    let groups = String::from_utf8_lossy(&groups).into_owned();
    let marks = [
        ("kubepods", Kind::Kubernetes),
        ("/docker", Kind::Docker),
        ("libpod", Kind::Podman),
        ("/lxc", Kind::Lxc),
        ("buildkit", Kind::Docker),
        ("containerd", Kind::Unknown),
    ];
    let found = marks.iter().find(|(mark, _)| groups.contains(mark));
    found.map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Root(tempfile::TempDir);

    impl Root {
        fn with(files: &[(&str, &str)]) -> Self {
            let root = Self(tempfile::tempdir().unwrap());
            for (name, text) in files {
                let path = root.0.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            root
        }

        fn container(&self) -> Option<Container> {
            Container::at(self.0.path(), |_| None)
        }

        fn kind(&self) -> Option<Kind> {
            self.container().map(|container| container.kind)
        }
    }

    #[test]
    fn container_is_recognised_by_the_marks_of_its_manager() {
        for (file, text, kind) in [
            (".dockerenv", "", Kind::Docker),
            ("run/.containerenv", "", Kind::Podman),
            ("run/systemd/container", "systemd-nspawn\n", Kind::Nspawn),
            ("proc/1/environ", "HOME=/\0container=lxc\0", Kind::Lxc),
            ("proc/1/environ", "container=new\0", Kind::Unknown),
            ("proc/1/cgroup", "1:cpu:/kubepods/pod1\n", Kind::Kubernetes),
            ("proc/1/cgroup", "0::/docker/0123\n", Kind::Docker),
        ] {
            assert_eq!(Root::with(&[(file, text)]).kind(), Some(kind), "{file}");
        }
        let machine = Root::with(&[
            ("proc/1/environ", "HOME=/\0TERM=linux\0"),
            ("proc/1/cgroup", "0::/init.scope\n"),
            ("proc/self/uid_map", "0 0 4294967295\n"),
        ]);
        assert_eq!(machine.kind(), None);
    }

    #[test]
    fn rootless_container_is_one_whose_root_is_another_user_outside() {
        let podman = |map| {
            let files = [("run/.containerenv", ""), ("proc/self/uid_map", map)];
            Root::with(&files).container().unwrap()
        };
        let rootless = podman("         0       1000          1\n");
        assert!(rootless.is_rootless);
        assert_eq!(rootless.name(), "a rootless container of Podman");
        assert!(!podman("         0          0 4294967295\n").is_rootless);
    }

    #[test]
    fn advice_gives_the_device_and_for_fuse_the_right_to_mount() {
        let container = |kind| Container {
            kind,
            is_rootless: false,
            is_github: false,
        };
        for kind in [Kind::Docker, Kind::Podman, Kind::Nspawn, Kind::Unknown] {
            let advice = container(kind).start_with("/dev/fuse");
            assert!(
                advice.contains("/dev/fuse") && advice.contains("SYS_ADMIN"),
                "{advice}"
            );
            let advice = container(kind).start_with("/dev/kvm");
            assert!(
                advice.contains("/dev/kvm") && !advice.contains("SYS_ADMIN"),
                "{advice}"
            );
        }
        let github = Container {
            is_github: true,
            ..container(Kind::Docker)
        };
        let advice = github.start_with("/dev/fuse");
        assert!(
            advice.contains("options: --device /dev/fuse --cap-add SYS_ADMIN"),
            "{advice}"
        );
    }
}
