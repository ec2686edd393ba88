//! The end of a disk, changes of its size, synchronous writes, and what a disk refuses.

use super::*;

/// A request of each kind that changes the image, at offset 0.
fn changes() -> [Request<'static>; 8] {
    let (offset, len, keep_size) = (0, 512, true);
    let data = || vec![1; 512].into();
    [
        Request::Write {
            offset,
            data: data(),
            fua: None,
        },
        Request::Append {
            data: data(),
            fua: None,
        },
        Request::Discard { offset, len },
        Request::Zero {
            offset,
            len,
            keep_size,
        },
        Request::Allocate {
            offset,
            len,
            keep_size,
        },
        Request::SetSize { size: 0 },
        Request::Erase { offset, len },
        Request::Grow { offset, len },
    ]
}

impl Bench {
    fn set_size(&self, size: u64) -> Result {
        answer(&self.submit(Request::SetSize { size }))
    }

    fn write_with(&self, fua: Fua) -> Result {
        let data = vec![7; 512].into();
        answer(&self.submit(Request::Write {
            offset: 0,
            data,
            fua: Some(fua),
        }))
    }

    fn allocate(&self, offset: u64, len: u64, keep_size: bool) -> Result {
        answer(&self.submit(Request::Allocate {
            offset,
            len,
            keep_size,
        }))
    }

    fn requests(&self) -> u64 {
        let ops = ["read", "write", "flush", "discard", "zero"];
        ops.iter()
            .map(|op| self.stat(&format!("{op}_requests")))
            .sum()
    }
}

#[test]
fn read_only_disk_refuses_every_change_and_counts_none() {
    let bench = Bench::new();
    let image = Arc::new(MemoryImage::new(4096));
    image.set_read_only();
    let delays = Arc::clone(&bench.delays);
    let disk = Disk::new("vda", "memory".as_ref(), layered(image), delays);
    let bench = Bench {
        disk: Arc::new(disk),
        ..bench
    };
    for request in changes() {
        let refused = answer(&bench.submit(request));
        assert_eq!(refused, Err(Errno(libc::EROFS)));
    }
    assert_eq!(bench.requests(), 0);
    assert_eq!(bench.read_sectors(0, 1), Ok(vec![0; 512]));
}

#[test]
fn aligned_client_is_served_whole_sectors_only() {
    let bench = Bench::of_size(1000);
    let submit = |request: Request<'_>| {
        let (reply, receiver) = bounded(1);
        let origin = Origin {
            is_aligned: true,
            ..bench.origin()
        };
        let reply = TestReply(Some(reply));
        bench.disk.submit(request, origin, reply);
        answer(&receiver)
    };
    let invalid = Err(Errno(libc::EINVAL));
    assert_eq!(
        submit(Request::Read {
            offset: 1,
            len: 512
        }),
        invalid
    );
    assert_eq!(submit(Request::Read { offset: 0, len: 1 }), invalid);
    let data = [1; 512];
    let append = || Request::Append {
        data: data[..].into(),
        fua: None,
    };
    assert_eq!(submit(append()), invalid, "the disk ends within a sector");
    assert_eq!(bench.requests(), 0);
    bench.set_size(1024).unwrap();
    assert_eq!(submit(append()), Ok(Vec::new()));
    assert_eq!(bench.image_sectors(2, 1), [1; 512]);
}

#[test]
fn range_that_no_file_has_is_refused() {
    let bench = Bench::new();
    for (offset, len) in [(u64::MAX, 1), (i64::MAX as u64, 1), (1, u64::MAX)] {
        let discard = bench.submit(Request::Discard { offset, len });
        assert_eq!(answer(&discard), Err(Errno(libc::EINVAL)));
    }
}

#[test]
fn append_writes_where_the_image_ends_by_then() {
    let bench = Bench::of_size(1024);
    bench.image.set_len(2048).unwrap();
    let data = vec![7; 512].into();
    answer(&bench.submit(Request::Append { data, fua: None })).unwrap();
    assert_eq!(bench.image_sectors(4, 1), [7; 512]);
    assert_eq!(bench.stat("write_bytes"), 512);
}

#[test]
fn size_set_lower_erases_and_higher_grows_and_equal_is_no_request() {
    let bench = Bench::of_size(4096);
    bench.write_sectors(0, &[7; 4096]).unwrap();
    bench.set_size(1024).unwrap();
    let expected = [vec![7; 1024], vec![0; 3072]].concat();
    assert_eq!(bench.image_sectors(0, 8), expected);
    bench.set_size(8192).unwrap();
    assert_eq!(bench.image.size().unwrap(), 8192);
    assert_eq!(bench.disk.known_size(), 8192);
    bench.set_size(8192).unwrap();
    let counted = (bench.stat("zero_requests"), bench.stat("zero_bytes"));
    assert_eq!(counted, (2, 3072 + 4096));
}

#[test]
fn rule_for_zeroes_meets_erasing_growing_and_preallocating() {
    let bench = Bench::of_size(4096);
    bench.write_sectors(0, &[7; 4096]).unwrap();
    bench.rules("error op=zero errno=ENOSPC");
    let full = Err(Errno(libc::ENOSPC));
    assert_eq!(bench.set_size(0), full);
    assert_eq!(bench.set_size(8192), full);
    assert_eq!(bench.allocate(4096, 512, false), full);
    assert_eq!(bench.image.size().unwrap(), 4096);
    assert_eq!(bench.image_sectors(0, 8), [7; 4096]);
    assert_eq!(bench.stat("zero_errors_injected"), 3);
    bench.rules("error op=zero errno=EIO at=8+1");
    bench.set_size(512).unwrap();
    assert_eq!(bench.set_size(4608), Err(Errno::EIO), "it is sector 8");
    bench.allocate(0, 4096, true).unwrap();
}

#[test]
fn lost_growth_is_damage_and_lost_preallocation_of_what_is_there_is_not() {
    let bench = Bench::of_size(4096);
    bench.rules("lose op=zero");
    bench.allocate(0, 4096, false).unwrap();
    bench.allocate(2048, 8192, true).unwrap();
    assert_eq!(bench.damage(), "");
    bench.allocate(2048, 4096, false).unwrap();
    bench.set_size(8192).unwrap();
    assert_eq!(
        bench.damage(),
        "8 4 lost lose op=zero\n8 8 lost lose op=zero\n"
    );
    assert_eq!(bench.image.size().unwrap(), 4096);
}

#[test]
fn fixed_disk_neither_grows_nor_preallocates_past_its_end() {
    let bench = Bench::of_size(4096);
    let image = Arc::clone(&bench.image);
    let delays = Arc::clone(&bench.delays);
    let disk = Disk::new("vda", "memory".as_ref(), layered(image), delays);
    let disk = disk.with_options(crate::protocol::disk_options::DiskOptions {
        fixed: true,
        ..Default::default()
    });
    let bench = Bench {
        disk: Arc::new(disk),
        ..bench
    };
    let full = Err(Errno(libc::ENOSPC));
    assert_eq!(bench.set_size(8192), full);
    assert_eq!(bench.allocate(2048, 4096, false), full);
    assert_eq!(bench.stat("zero_errors_host"), 2);
    bench.allocate(2048, 4096, true).unwrap();
    bench.set_size(2048).unwrap();
    assert_eq!(bench.image.size().unwrap(), 4096);
}

#[test]
fn synchronous_write_is_flushed_before_it_is_answered() {
    let bench = Bench::new();
    for fua in [Fua::Data, Fua::All] {
        let touched = bench.image.touched();
        bench.write_with(fua).unwrap();
        assert_eq!(bench.image.touched() - touched, 2);
    }
    let counted = (bench.stat("write_requests"), bench.stat("flush_requests"));
    assert_eq!(counted, (2, 2));
    bench.rules("error op=flush errno=ENOSPC");
    assert_eq!(bench.write_with(Fua::Data), Err(Errno(libc::ENOSPC)));
    assert_eq!(bench.image_sectors(0, 1), [7; 512]);
    bench.rules("error op=write errno=EIO");
    assert_eq!(bench.write_with(Fua::Data), Err(Errno::EIO));
    assert_eq!(
        bench.stat("flush_requests"),
        3,
        "a failed write is not flushed"
    );
}

#[test]
fn synchronous_write_is_answered_with_what_it_wrote() {
    struct Count(Sender<u64>);
    impl Reply for Count {
        fn send(self, result: std::result::Result<Answer<'_>, Errno>) {
            if let Ok(Answer::Done(written)) = result {
                self.0.send(written).unwrap();
            }
        }
    }
    let bench = Bench::new();
    let (sender, written) = bounded(1);
    let append = Request::Append {
        data: vec![7; 1536].into(),
        fua: Some(Fua::Data),
    };
    bench.disk.submit(append, bench.origin(), Count(sender));
    assert_eq!(written.recv_timeout(Duration::from_secs(60)), Ok(1536));
}
