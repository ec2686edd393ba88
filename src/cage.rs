//! What a server that is up and running never needs, and so may not do any more.
//!
//! An image or a client that found a hole in it could not start programs, look into other processes,
//! load code into the kernel or talk to a network. A filter of system calls (seccomp) sees to that,
//! for all threads and for good.

use std::collections::BTreeMap;
use std::convert::TryInto;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads,
};

use crate::sys;

/// Refused with EPERM. `execve` is among them: who unmounts without help starts no program.
const REFUSED: [i64; 32] = [
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_mount,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsmount,
    libc::SYS_fsconfig,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_mknodat,
    libc::SYS_quotactl,
];

/// Why a server is not caged.
#[derive(Debug, thiserror::Error)]
#[error("cannot cage the server: {0}")]
pub struct CageError(String);

/// Cages this process, where it can do without help: an ordinary user's server has to start
/// `fusermount3` at its end, which a cage would not let have the rights that it needs.
///
/// Returns whether it is caged.
pub fn enter() -> Result<bool, CageError> {
    if sys::uid() != 0 {
        return Ok(false);
    }
    let failed = |error: &dyn std::fmt::Display| CageError(error.to_string());
    let program = program().map_err(|error| failed(&error))?;
    // Sets no_new_privs too.
    apply_filter_all_threads(&program).map_err(|error| failed(&error))?;
    Ok(true)
}

fn program() -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        REFUSED.into_iter().map(|call| (call, Vec::new())).collect();
    // Sockets of this machine alone: sd_notify has one.
    let no_unix = SeccompCondition::new(
        0,
        SeccompCmpArgLen::Dword,
        SeccompCmpOp::Ne,
        libc::AF_UNIX as u64,
    )?;
    rules.insert(libc::SYS_socket, vec![SeccompRule::new(vec![no_unix])?]);
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

    #[test]
    fn the_filter_is_one_that_the_kernel_takes() {
        assert!(program().unwrap().len() > REFUSED.len());
    }
}
