//! `provium bench`.

use std::process::Command;

use crate::docs::help_says;
use crate::harness::*;

#[test]
fn bench_measures_each_way_to_an_image_and_changes_nothing() {
    if !has("qemu-img") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let image = new_image(&folder.path().join("disk.img"), MIB);
    let words = ["bench", "--rounds", "1", "--json", image.to_str().unwrap()];
    let printed = stdout(&provium(&words));
    let printed: serde_json::Value = serde_json::from_str(&printed).unwrap();
    let members = printed.as_array().unwrap();
    let ways: Vec<_> = members
        .iter()
        .map(|it| format!("{} {} {}", it["place"], it["aio"], it["depth"]).replace('"', ""))
        .collect();
    let all = ["file", "mount"].into_iter().flat_map(|place| {
        let with_depth = move |aio| [1, 16, 4].map(|depth| format!("{place} {aio} {depth}"));
        ["threads", "io_uring", "native"]
            .into_iter()
            .flat_map(with_depth)
    });
    assert_eq!(ways, all.collect::<Vec<_>>());
    for member in members {
        // A kernel may have no io_uring, a file system no direct I/O.
        let rate = member["requests_per_second"].as_f64();
        assert_eq!(rate.is_none(), member["error"].is_string(), "{member}");
        assert!(rate.is_none_or(|rate| rate > 0.0), "{member}");
    }
    assert!(
        members
            .iter()
            .any(|it| it["place"] == "mount" && it["error"].is_null())
    );
    assert_eq!(std::fs::read(&image).unwrap(), vec![0; MIB as usize]);
    help_says("bench", "How often each way is measured [default: 3]");
}

#[test]
fn bench_says_what_it_cannot_measure() {
    let folder = TempDir::new().unwrap();
    let image = |size| new_image(&folder.path().join(format!("{size}.img")), size);
    let bench = |image: &std::path::Path| provium(&["bench", image.to_str().unwrap()]);
    let small = "has 4.0 KiB: an image to measure has at least 1.0 MiB";
    assert_fails(&bench(&image(4096)), 2, &[small]);
    let none = folder.path().join("none.img");
    assert_fails(&bench(&none), 1, &["none.img: No such file or directory"]);
    let mut without_qemu = Command::new(PROVIUM);
    without_qemu
        .arg("bench")
        .arg(image(MIB))
        .env("PATH", "/nonexistent");
    let says = ["qemu-img is not installed; `provium doctor` names the package"];
    assert_fails(&run(&mut without_qemu), 1, &says);
}
