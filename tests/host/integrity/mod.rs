//! Random tests against models: after any kill, the image has all acknowledged writes and nothing else.

mod random;
mod rules;
mod server_kills;
mod stamps;
mod volatile_cache;

/// A number from the environment: for a longer run, or to repeat one.
pub fn setting(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap(),
        Err(_) => default,
    }
}

/// The seed of a random test, which is printed.
pub fn seed() -> u64 {
    let seed = setting("PROVIUM_TEST_SEED", fastrand::u64(..));
    println!("PROVIUM_TEST_SEED={seed} runs this again");
    seed
}
