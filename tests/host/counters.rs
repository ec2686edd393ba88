//! Counters: latencies in `stats`, matches in `rules`.

use crate::harness::*;

#[test]
fn latencies_are_counted_from_arrival_to_answer() {
    let mount = Mount::new();
    let stat = |key: &str| mount.stat(key);
    for _ in 0..20 {
        read_sector(&mount, 0).unwrap();
    }
    assert_eq!(stat("read_answered"), 20);
    let unharmed = stat("read_latency_ns_p50");
    assert!(0 < unharmed && unharmed < 20_000_000, "{unharmed}");
    mount.arm("slow");
    for _ in 0..40 {
        read_sector(&mount, 0).unwrap();
    }
    assert!(stat("read_latency_ns_p50") >= 50_000_000);
    assert!(stat("read_latency_ns_max") >= stat("read_latency_ns_p99"));
    assert!(stat("read_latency_ns_sum") >= 40 * 50_000_000);
    assert_eq!(stat("write_latency_ns_p50"), 0);
}

#[test]
fn rule_counts_requests_considered_apart_from_those_matched() {
    let mount = Mount::new();
    mount.arm("error op=read errno=EIO at=0+8 size=1024..\neio_read at=4+1");
    read_sector(&mount, 0).unwrap();
    read_sector(&mount, 9).unwrap();
    assert_eq!(errno(read_sector(&mount, 4)), libc::EIO);
    let rules = mount.read("vda/rules");
    let lines: Vec<_> = rules.lines().collect();
    assert!(
        lines[0].contains(" considered=2 matched=0 fired=0 left=- "),
        "{rules}"
    );
    assert!(
        lines[1].contains(" considered=1 matched=1 fired=1 left=- "),
        "{rules}"
    );
}
