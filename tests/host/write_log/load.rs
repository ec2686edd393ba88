//! Clients that change a disk at random, side by side and each other's sectors.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use provium::os::sys::fallocate;

/// Bytes of the disk that they all write to.
const CROWDED: u64 = 256 << 10;

/// Has `clients` threads do `rounds` requests each to the disk at `path`. All of them succeed.
pub fn run(path: &Path, clients: u64, rounds: usize, seed: u64) {
    run_with_errors(path, clients, rounds, seed, |result| result.unwrap());
}

/// The same, where `look` sees what becomes of each request.
pub fn run_with_errors(
    path: &Path,
    clients: u64,
    rounds: usize,
    seed: u64,
    look: fn(io::Result<()>),
) {
    std::thread::scope(|scope| {
        for client in 0..clients {
            scope.spawn(move || {
                let disk = File::options().read(true).write(true).open(path).unwrap();
                let mut random = fastrand::Rng::with_seed(seed ^ (client << 32));
                (0..rounds).for_each(|_| look(request(&disk, &mut random)));
            });
        }
    });
}

fn request(disk: &File, random: &mut fastrand::Rng) -> io::Result<()> {
    let offset = random.u64(..CROWDED);
    let len = random.u64(1..=32 << 10);
    let in_sectors = |number: u64| number / 512 * 512;
    match random.u8(..20) {
        0 => disk.sync_data(),
        1 => {
            let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
            fallocate(disk, punch, in_sectors(offset), 512 + in_sectors(len))
        }
        2 => {
            let zero = libc::FALLOC_FL_ZERO_RANGE;
            fallocate(disk, zero, in_sectors(offset), 512 + in_sectors(len))
        }
        // Not whole sectors.
        3 | 4 => disk.write_all_at(&vec![random.u8(..); len as usize], offset),
        _ => {
            let data = vec![random.u8(..); 512 + in_sectors(len) as usize];
            disk.write_all_at(&data, in_sectors(offset))
        }
    }
}
