//! A mount by mount(8) and a line of fstab.

use std::process::{Command, Output};

use crate::docs::page_says;
use crate::harness::*;

/// A folder with an image and a mount point, and mount(8) with our helper. None, with a message, where this user may
/// not have a mount namespace, in which alone the helper is installed.
struct Scene {
    folder: TempDir,
}

impl Scene {
    fn new() -> Option<Self> {
        if provium::os::sys::uid() != 0 || !can_isolate() || !has("mount") {
            eprintln!("skipped: only root may install a helper for mount(8)");
            return None;
        }
        let folder = TempDir::new().unwrap();
        new_image(&folder.path().join("a.img"), MIB);
        std::fs::create_dir(folder.path().join("mnt")).unwrap();
        Some(Self { folder })
    }

    fn at(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Runs a shell script where /sbin/mount.provium is our helper, which finds this provium. `$mnt` is the mount point.
    fn shell(&self, script: &str) -> Output {
        let helper = concat!(env!("CARGO_MANIFEST_DIR"), "/mnt-helpers/mount.provium");
        // /sbin is a link to a folder with other helpers: a writable layer of it, for this namespace alone.
        let script = format!(
            "set -e
             layer=$(mktemp -d); mount -t tmpfs none $layer; mkdir $layer/up $layer/work
             sbin=$(readlink -f /sbin)
             mount -t overlay overlay -o lowerdir=$sbin,upperdir=$layer/up,workdir=$layer/work $sbin
             ln -s {PROVIUM} $sbin/provium
             cp {helper} $sbin/mount.provium; chmod 755 $sbin/mount.provium
             export PATH=$sbin:$PATH mnt={}
             trap 'umount -l $mnt 2> /dev/null || :; umount -l $sbin $layer; rmdir $layer' EXIT
             {script}",
            self.at("mnt")
        );
        run(Command::new("unshare")
            .args(["-m", "sh", "-c", &script])
            .env("XDG_RUNTIME_DIR", self.folder.path()))
    }

    /// Mounts by a line of fstab with these options, and runs `script`.
    fn fstab(&self, options: &str, script: &str) -> Output {
        let image = self.at("a.img");
        let line = format!("disks {} provium {options} 0 0\n", self.at("mnt"));
        std::fs::write(self.at("fstab"), line.replace("IMAGE", &image)).unwrap();
        let fstab = self.at("fstab");
        self.shell(&format!("mount --fstab {fstab} $mnt; {script}"))
    }
}

#[test]
fn line_of_fstab_with_the_usual_words_is_mounted() {
    let Some(scene) = Scene::new() else { return };
    let words = "defaults,noauto,nofail,_netdev,rw,exec,dev,suid,relatime,noatime,user,\
                 x-systemd.device-timeout=3,comment=disks,disk=vda=IMAGE";
    let look = "cat $mnt/ctl/disks; provium umount $mnt; ls $mnt";
    let output = scene.fstab(words, look);
    assert_ok(&output);
    assert_eq!(stderr(&output), "");
    let line = format!("vda 1048576 rw {}\n", scene.at("a.img"));
    assert_eq!(stdout(&output), line);
}

#[test]
fn word_of_fstab_that_is_not_offered_fails_with_what_to_use_instead() {
    let Some(scene) = Scene::new() else { return };
    let failed = |options: &str, text: &str| {
        let output = scene.fstab(options, "echo mounted");
        assert_fails(&output, 1, &[text]);
        assert_eq!(stdout(&output), "");
    };
    failed("sync,disk=vda=IMAGE", "opens the disk with O_SYNC");
    failed("uid=7,disk=vda=IMAGE", "without `allow_other`");
    failed("nosuch,disk=vda=IMAGE", "unknown mount option `nosuch`");
    let missing = scene.fstab("disk=vda=IMAGE.missing", "echo mounted");
    assert_fails(&missing, 32, &["a.img.missing"]);
}

#[test]
fn owner_group_and_umask_decide_who_may_open_a_data_file() {
    page_says(
        "docs/security.md",
        "`-o allow_other,gid=36,umask=007` lets in the members of group 36, and no one else",
    );
    let Some(scene) = Scene::new() else { return };
    assert_ok(&run(Command::new("chmod")
        .arg("755")
        .arg(scene.folder.path())));
    let look = "
        as() { setpriv --reuid 65534 --regid $1 --clear-groups sh -c \"$2\" 2> /dev/null && echo yes || echo no; }
        stat -c '%u %g %a' $mnt/vda $mnt $mnt/ctl $mnt/ctl/vda/faults
        as 36 \"head -c 1 $mnt/vda > /dev/null\"
        as 35 \"head -c 1 $mnt/vda > /dev/null\"
        as 36 \"ls $mnt/ctl\"
        provium umount $mnt";
    let output = scene.fstab("allow_other,uid=7,gid=36,umask=007,disk=vda=IMAGE", look);
    assert_ok(&output);
    let expected = "7 36 660\n0 0 555\n0 0 500\n0 0 600\nyes\nno\nno\n";
    assert_eq!(stdout(&output), expected);
}

#[test]
fn verbose_mount_says_what_it_does() {
    page_says("docs/fstab.md", "`mount -v` says what is done");
    let Some(scene) = Scene::new() else { return };
    let image = scene.at("a.img");
    let output = scene.shell(&format!(
        "mount -v -t provium disks $mnt -o disk=vda={image}; provium umount $mnt"
    ));
    assert_ok(&output);
    let said = stderr(&output);
    assert!(
        said.contains("provium: disk: vda=") && said.contains("the server, process "),
        "{said}"
    );
}
