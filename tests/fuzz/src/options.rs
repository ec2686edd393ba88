//! What `--disk` and `-o` take: anything is understood or refused. A disk that is understood has a name that is valid, and what is
//! passed on to a server in the background means the same.

use provium::protocol::DiskSpec;
use provium::protocol::names::valid_id;
use provium::server::options::parse_options;

pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(disk) = text.parse::<DiskSpec>() {
        assert!(valid_id(&disk.id) && !disk.image.as_os_str().is_empty());
    }
    if let Ok(options) = parse_options(&[text.to_owned()]) {
        assert!(options.disks.iter().all(|disk| valid_id(&disk.id)));
        let passed_on = parse_options(&options.of_the_server()).unwrap();
        assert_eq!(passed_on.memory, options.memory);
        assert_eq!(passed_on.access, options.access);
    }
}
