//! Random histories through a mount, against a model that is as simple as can be.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::harness::*;

#[test]
fn histories_at_random_through_a_mount_end_as_a_simple_model_says() {
    let seed = std::env::var("PROVIUM_TEST_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("PROVIUM_TEST_SEED={seed} runs this again");
    let mut random = fastrand::Rng::with_seed(seed);
    for cache in ["off", "volatile"] {
        let mut mount = Mount::of_size(MIB);
        mount.append("vda/cache", cache).unwrap();
        let file = File::options()
            .read(true)
            .write(true)
            .open(mount.vda())
            .unwrap();
        let (mut bytes, mut saved) = (vec![0_u8; MIB as usize], Vec::<(u32, Vec<u8>)>::new());
        for step in 0..400_u32 {
            let offset = random.usize(..bytes.len());
            let len = random.usize(1..=(bytes.len() - offset).min(70_000));
            let command = match random.u8(..10) {
                0..4 => {
                    let data = vec![random.u8(1..); len];
                    file.write_all_at(&data, offset as u64).unwrap();
                    bytes[offset..offset + len].copy_from_slice(&data);
                    None
                }
                4 => {
                    let flags = rustix::fs::FallocateFlags::PUNCH_HOLE
                        | rustix::fs::FallocateFlags::KEEP_SIZE;
                    rustix::fs::fallocate(&file, flags, offset as u64, len as u64).unwrap();
                    bytes[offset..offset + len].fill(0);
                    None
                }
                5 => {
                    file.sync_data().unwrap();
                    None
                }
                6 if saved.len() < 5 => {
                    saved.push((step, bytes.clone()));
                    Some(format!("save s{step}"))
                }
                7 | 8 if !saved.is_empty() => {
                    let (name, then) = &saved[random.usize(..saved.len())];
                    bytes.clone_from(then);
                    Some(format!("restore s{name}"))
                }
                9 if !saved.is_empty() => {
                    let (name, _) = saved.remove(random.usize(..saved.len()));
                    Some(format!("drop s{name}"))
                }
                _ => None,
            };
            if let Some(text) = command {
                mount.append("vda/checkpoint", &text).unwrap();
            }
            let mut found = vec![0; bytes.len()];
            file.read_exact_at(&mut found, 0).unwrap();
            assert!(found == bytes, "seed {seed}, step {step}");
        }
        drop(file);
        mount.signal(libc::SIGTERM);
        assert!(mount.wait_for_end().success());
        assert!(
            std::fs::read(mount.image()).unwrap() == bytes,
            "seed {seed}: the image"
        );
    }
}
