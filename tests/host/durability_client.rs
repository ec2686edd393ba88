//! The client's calls on the cache, the power switch, the write log and the events of a mount.

use provium::client::MountClient;
use provium::protocol::{CacheMode, LogLine, PowerCommand, PowerState};

use crate::harness::*;

#[test]
fn client_finds_the_power_on_the_cache_off_and_no_log() {
    let mount = Mount::new();
    let client = MountClient::open(&mount.point()).unwrap();
    let disk = client.disk("vda").unwrap();
    assert_eq!(disk.cache().unwrap(), CacheMode::Off);
    assert!(disk.pending().unwrap().is_empty());
    assert_eq!(disk.power().unwrap(), PowerState::On);
    assert_eq!(
        client.power().unwrap(),
        [("vda".to_owned(), PowerState::On)]
    );
    assert_eq!(disk.log().unwrap(), LogLine::Off);
}

#[test]
fn client_is_told_why_the_power_is_not_switched() {
    let mount = Mount::new();
    let client = MountClient::open(&mount.point()).unwrap();
    let disk = client.disk("vda").unwrap();
    let error = disk.switch_power(&PowerCommand::On).unwrap_err();
    assert!(mount.read("error").ends_with(&format!(": {error}\n")));
    assert!(disk.mark("").is_err());
    disk.mark("before the rename").unwrap();
    client.mark("before the rename").unwrap();
}

#[test]
fn client_reads_events_until_the_mount_ends() {
    for signal in [libc::SIGTERM, libc::SIGKILL] {
        let mut mount = Mount::new();
        let client = MountClient::open(&mount.point()).unwrap();
        let mut events = client.events().unwrap();
        let reader = std::thread::spawn(move || events.next());
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(!reader.is_finished(), "it waits");
        mount.signal(signal);
        mount.wait_for_end();
        assert_eq!(reader.join().unwrap(), None);
    }
}
