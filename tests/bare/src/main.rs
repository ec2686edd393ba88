//! The bare passthrough as a program: `provium-bare MNT IMAGE` serves IMAGE as MNT/vda until it is unmounted.
//! `mnt-helpers/dev/bench` compares the mount with it.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use provium::fuse::bare;
use provium::server::sandbox;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [mount_point, image] = arguments.as_slice() else {
        eprintln!("usage: provium-bare MNT IMAGE");
        return ExitCode::from(2);
    };
    match serve(mount_point.as_ref(), image.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("provium-bare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(mount_point: &Path, image: &Path) -> io::Result<()> {
    let session = bare::mount(mount_point, image)?;
    // As in a server: the filter of system calls has its price too.
    sandbox::enter().map_err(io::Error::other)?;
    session.join()
}
