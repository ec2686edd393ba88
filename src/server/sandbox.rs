//! The sandbox of a running server: it gives up what serving does not need.
//!
//! A client that takes over the server through a hole can then not start programs, look into other processes,
//! load code into the kernel or talk to a network. A filter of system calls (seccomp) denies that to
//! all threads for good. Before, the server drops the capabilities of root that serving does not need.

use std::collections::BTreeMap;
use std::convert::TryInto;

use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads,
};

use crate::os::sys;

/// System calls that end with EPERM. `execve` is among them: root unmounts without fusermount3.
const REFUSED: &[i64] = &[
    // Programs, and other processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_kcmp,
    // Ways around the filter, and large or rarely used parts of the kernel.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_fanotify_init,
    libc::SYS_open_by_handle_at,
    libc::SYS_lookup_dcookie,
    libc::SYS_personality,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // The machine.
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    // Namespaces, and mounts except for unmounting.
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    // Devices and links; owners, permissions and attributes of files.
    libc::SYS_mknodat,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchmodat2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
];

/// Older calls that do the same, on architectures that have them.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[i64] = &[
    libc::SYS_mknod,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_uselib,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[i64] = &[];

/// The capabilities that serving needs: to open any image and write to it, to mount and unmount.
const NEEDED: CapabilitySet = CapabilitySet::DAC_OVERRIDE
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::SYS_ADMIN)
    .union(CapabilitySet::SYS_RESOURCE);

/// Why a server is not in its sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The capabilities cannot be dropped.
    #[error("cannot drop capabilities: {0}")]
    Capabilities(#[from] rustix::io::Errno),
    /// No filter of system calls can be made for this machine.
    #[error("cannot make the sandbox of the server: {0}")]
    Filter(#[from] seccompiler::BackendError),
    /// The kernel does not accept the filter.
    #[error("cannot enter the sandbox of the server: {0}")]
    Enter(#[from] seccompiler::Error),
}

/// Drops the capabilities of root that serving does not need, for good. Call it while the process has one
/// thread: each thread has capabilities of its own.
pub fn drop_capabilities() -> Result<(), SandboxError> {
    if sys::uid() != 0 {
        return Ok(());
    }
    let mut sets = capabilities(None)?;
    sets.effective &= NEEDED;
    sets.permitted &= NEEDED;
    sets.inheritable = CapabilitySet::empty();
    Ok(set_capabilities(None, sets)?)
}

/// Puts this process into the sandbox if it is root's. An ordinary user's server has to start `fusermount3` at
/// its end, and the sandbox would deny that program the rights it needs.
///
/// Returns whether the process is in the sandbox.
pub fn enter() -> Result<bool, SandboxError> {
    if sys::uid() != 0 {
        return Ok(false);
    }
    // Sets no_new_privs too.
    apply_filter_all_threads(&program()?)?;
    Ok(true)
}

fn program() -> Result<BpfProgram, seccompiler::BackendError> {
    let refused = REFUSED.iter().chain(REFUSED_HERE);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        refused.map(|call| (*call, Vec::new())).collect();
    // Local sockets only: sd_notify uses one.
    let not_local = SeccompCondition::new(
        0,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::Ne,
        libc::AF_UNIX as u64,
    )?;
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(vec![not_local])?]);
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        std::env::consts::ARCH.try_into()?,
    )?;
    filter.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::process::Process;
    use std::os::unix::fs::PermissionsExt;

    /// Runs `work` in a thread with the filter.
    fn in_sandbox<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        let thread = std::thread::spawn(|| {
            seccompiler::apply_filter(&program().unwrap()).unwrap();
            work()
        });
        thread.join().unwrap()
    }

    #[test]
    fn sandbox_denies_refused_calls_and_permits_serving_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (file, node, link) = (path("file"), path("node"), path("link"));
        let errors = in_sandbox(move || {
            std::fs::write(&file, "served").unwrap();
            assert_eq!(std::fs::read(&file).unwrap(), b"served");
            let mode = rustix::fs::Mode::RWXU;
            let pipe = rustix::fs::FileType::Fifo;
            let made = rustix::fs::mknodat(rustix::fs::CWD, &node, pipe, mode, 0);
            let chmod = std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o4755));
            let linked = std::os::unix::fs::symlink(&file, link);
            let started = std::process::Command::new("true").spawn();
            let socket = std::net::UdpSocket::bind("127.0.0.1:0");
            let killed = Process::open(std::process::id()).and_then(|us| us.signal(libc::SIGCONT));
            std::fs::remove_file(&file).unwrap();
            [
                made.map_err(std::io::Error::from).err(),
                chmod.err(),
                linked.err(),
                started.err(),
                socket.err(),
                killed.err(),
            ]
        });
        for error in errors {
            assert_eq!(error.unwrap().raw_os_error(), Some(libc::EPERM));
        }
    }

    #[test]
    fn filter_refuses_the_calls_that_reach_into_other_processes() {
        for call in [
            libc::SYS_pidfd_getfd,
            libc::SYS_process_vm_writev,
            libc::SYS_io_uring_setup,
            libc::SYS_mknodat,
            libc::SYS_fanotify_init,
            libc::SYS_ptrace,
        ] {
            assert!(REFUSED.contains(&call), "{call}");
        }
    }

    #[test]
    fn filter_compiles_to_a_program_of_the_kernel() {
        assert!(program().unwrap().len() > REFUSED.len());
    }
}
