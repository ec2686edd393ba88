//! Power cuts at random: what survives is what is durable, and some of what is pending, in order.

use std::collections::HashSet;

use provium::fault::Random;
use provium::protocol::CutReport;

use super::histories::{Client, MOST, SIZE, Step, live_through, steps};
use super::model::{Change, Model, Piece, Search};
use super::*;
use crate::integrity::{seed, setting};

/// What survives a cut.
#[derive(Debug)]
struct Policy {
    keep: Keep,
    tear: Option<usize>,
    garbage: bool,
    seed: u64,
}

#[derive(Debug)]
enum Keep {
    None,
    All,
    First(u64),
    Only(HashSet<u64>),
    Random(u64),
}

impl Policy {
    fn at_random(random: &mut Random, model: &Model) -> Self {
        let numbers = model.pending.iter().filter_map(|change| change.number);
        let keep = match random.below(8) {
            0 => Keep::None,
            1 => Keep::All,
            2 => Keep::First(random.below(model.pending.len() as u64 + 2)),
            3 if !model.pending.is_empty() => {
                let mut some: HashSet<_> = numbers.filter(|_| random.below(2) == 1).collect();
                some.extend(model.pending[0].number);
                Keep::Only(some)
            }
            _ => Keep::Random(random.below(101)),
        };
        let tear = (random.below(2) == 1).then(|| 1 + random.below(3) as usize);
        Self {
            keep,
            tear,
            garbage: random.below(4) == 0,
            seed: random.below(1 << 40),
        }
    }

    fn text(&self) -> String {
        let keep = match &self.keep {
            Keep::None => "none".into(),
            Keep::All => "all".into(),
            Keep::First(number) => format!("first={number}"),
            Keep::Only(numbers) => {
                let numbers: Vec<_> = numbers.iter().map(u64::to_string).collect();
                format!("only={}", numbers.join(","))
            }
            Keep::Random(percent) => format!("random p={}", *percent as f64 / 100.0),
        };
        let tear = self.tear.map(|tear| format!(" tear={tear}"));
        let garbage = if self.garbage { " garbage=0.5" } else { "" };
        format!(
            "cut keep={keep} seed={}{}{garbage}",
            self.seed,
            tear.unwrap_or_default()
        )
    }

    /// Whether a piece survives; None if chance decides.
    fn survives(&self, at: usize, piece: &Piece<'_>) -> Option<bool> {
        match &self.keep {
            Keep::None | Keep::Random(0) => Some(false),
            Keep::All | Keep::Random(100) => Some(true),
            Keep::First(number) => Some((at as u64) < *number),
            Keep::Only(numbers) => {
                Some(piece.change.number.is_some_and(|of| numbers.contains(&of)))
            }
            Keep::Random(_) => None,
        }
    }
}

/// A disk, its client, and the model of it.
struct Bench {
    mount: Mount,
    client: Client,
    model: Model,
}

impl Bench {
    fn new() -> Self {
        let mount = cached(SIZE as u64);
        let client = Client::of(&mount, "vda");
        Self {
            mount,
            client,
            model: Model::of_size(SIZE),
        }
    }

    /// Has one to three writes held when the power is cut. Returns the report, and what was held.
    fn cut_with_held(&self, random: &mut Random, how: &str) -> (CutReport, Vec<Change>) {
        let (mount, client) = (&self.mount, &self.client);
        mount.arm("hang op=write,zero,discard");
        let wanted = 1 + random.below(3);
        let size = self.model.seen().len();
        let mut held = Vec::new();
        let report = std::thread::scope(|scope| {
            while (held.len() as u64) < wanted {
                let step = Step::at_random(random);
                let change = self.model.change_of(&step);
                // The kernel has several under way only if they are writes inside the file. Preallocation is
                // no change that could survive.
                let is_inside = |change: &Change| change.op == "write" && change.range.end <= size;
                let is_alone = wanted == 1 && !matches!(step, Step::Allocate(..));
                let change = change.filter(|change| is_alone || is_inside(change));
                let Some(change) = change else {
                    continue;
                };
                held.push(change);
                scope.spawn(move || assert!(client.does(&step).is_err()));
                eventually("it is held", || {
                    mount.stat("in_flight") == held.len() as u64
                });
            }
            cut(mount, how)
        });
        mount.clear();
        (report, held)
    }

    /// Cuts the power, and compares what is left with the model. Returns how much survived, and how much not.
    fn cut(&mut self, random: &mut Random, context: &str) -> (u64, u64) {
        let policy = Policy::at_random(random, &self.model);
        let how = policy.text();
        let (report, held) = match random.below(5) {
            0 => self.cut_with_held(random, &how),
            _ => (cut(&self.mount, &how), Vec::new()),
        };
        let context = format!(
            "{context}: {how}, {report}, pending {:?}",
            self.model.lines()
        );
        assert_eq!(report.seed, policy.seed, "{context}");
        let found = image(&self.mount);
        self.check(&policy, report, &held, &found, &context);
        self.client.does(&Step::Flush).unwrap_err();
        power_on(&self.mount);
        assert!(
            std::fs::read(self.mount.vda()).unwrap() == found,
            "{context}"
        );
        self.model.durable = found;
        self.model.pending.clear();
        (report.kept, report.lost)
    }

    fn check(
        &self,
        policy: &Policy,
        report: CutReport,
        held: &[Change],
        found: &[u8],
        context: &str,
    ) {
        let all = self.model.pending.iter().chain(held);
        let pieces: Vec<_> = all.flat_map(|change| change.pieces(policy.tear)).collect();
        assert_eq!(report.kept + report.lost, pieces.len() as u64, "{context}");
        let is_fixed = pieces
            .iter()
            .enumerate()
            .all(|(at, piece)| policy.survives(at, piece).is_some());
        if is_fixed {
            let survives = |at, piece: &Piece<'_>| policy.survives(at, piece) == Some(true);
            let (image, kept) = self.model.after_cut(held, policy.tear, survives);
            assert_eq!(report.kept, kept, "{context}");
            assert!(policy.garbage || found == image, "{context}");
        }
        let garbage = match policy.garbage {
            true => self.garbage(),
            false => Vec::new(),
        };
        let durable = &self.model.durable;
        let search = Search {
            durable,
            found,
            pieces,
            garbage,
        };
        assert!(
            search.succeeds(report.kept as usize),
            "no such subset: {context}"
        );
    }

    /// The sectors that have garbage by now.
    fn garbage(&self) -> Vec<std::ops::Range<usize>> {
        let damage = self.mount.read("vda/damage");
        let lines = damage.lines().filter_map(|line| {
            let place = line.strip_suffix(" garbage power")?;
            let (sector, count) = place.split_once(' ')?;
            let sector = sector.parse::<usize>().unwrap();
            Some(sector * 512..(sector + count.parse::<usize>().unwrap()) * 512)
        });
        lines.collect()
    }
}

#[test]
fn image_after_any_cut_is_what_was_durable_and_a_subset_of_what_was_pending_in_order() {
    let (cuts, seed) = (setting("PROVIUM_RANDOM_CUTS", 100), seed());
    let (mut none, mut some, mut all) = (0, 0, 0);
    let mut bench = Bench::new();
    for number in 0..cuts {
        let random = &mut Random::at(seed, number);
        if number % 50 == 49 {
            bench = Bench::new();
        }
        if random.below(4) == 0 {
            // The host cuts or extends the image.
            let size = [SIZE, SIZE / 2, SIZE + 777][random.below(3) as usize];
            let host = std::fs::File::options()
                .write(true)
                .open(bench.mount.image());
            host.unwrap().set_len(size as u64).unwrap();
            bench.model.durable.resize(size, 0);
        }
        let Bench {
            mount,
            client,
            model,
        } = &mut bench;
        live_through(mount, "vda", client, model, &steps(random, 15));
        match bench.cut(random, &format!("seed {seed}, cut {number}")) {
            (_, 0) => all += 1,
            (0, _) => none += 1,
            _ => some += 1,
        }
        assert!(bench.model.durable.len() <= MOST + 4096);
    }
    println!("{cuts} cuts: {none} kept nothing, {some} a part, {all} everything");
    assert!(none > 0 && some > 0 && all > 0);
}

#[test]
fn cut_with_the_same_seed_leaves_the_same_image() {
    let seed = seed();
    let mut images = HashSet::new();
    for (tear, garbage) in [("", ""), (" tear=1", ""), (" tear=2", " garbage=0.5")] {
        let random = Random::at(seed, tear.len() as u64);
        let after = |cut_seed: u64| {
            let Bench {
                mount,
                client,
                mut model,
            } = Bench::new();
            live_through(
                &mount,
                "vda",
                &client,
                &mut model,
                &steps(&mut random.clone(), 40),
            );
            for sector in 0..20 {
                model.does(&Step::Write(sector * 512, vec![7; 512]));
                client
                    .does(&Step::Write(sector * 512, vec![7; 512]))
                    .unwrap();
            }
            cut(
                &mount,
                &format!("cut keep=random seed={cut_seed}{tear}{garbage}"),
            );
            image(&mount)
        };
        let first = after(1);
        assert!(first == after(1), "seed {seed}{tear}{garbage}");
        images.extend([first, after(2), after(3)]);
    }
    assert_eq!(images.len(), 9, "another seed leaves another image");
}

#[test]
fn cut_without_a_seed_shows_the_one_that_was_drawn() {
    let after = |how: &str| {
        let mount = cached(MIB);
        for sector in 0..64 {
            let write = Step::Write(sector * 512, vec![7; 512]);
            Client::of(&mount, "vda").does(&write).unwrap();
        }
        let report = cut(&mount, how);
        (report.seed, image(&mount))
    };
    let (drawn, first) = after("cut keep=random");
    let (again, second) = after(&format!("cut keep=random seed={drawn}"));
    assert!(drawn == again && first == second);
}

#[test]
fn pieces_of_one_write_survive_one_by_one_and_no_sector_is_split() {
    let mount = cached(MIB);
    let client = Client::of(&mount, "vda");
    let (mut kept, mut lost) = (0, 0);
    for seed in 0..10 {
        let byte = seed as u8 + 1;
        client.does(&Step::Write(0, vec![byte; 4096])).unwrap();
        let before = image(&mount);
        let report = cut(&mount, &format!("cut keep=random tear=1 seed={seed}"));
        power_on(&mount);
        assert_eq!(report.kept + report.lost, 8);
        for (sector, old) in image(&mount)[..4096].chunks(512).zip(before.chunks(512)) {
            assert!(sector == [byte; 512] || sector == old);
        }
        (kept, lost) = (kept + report.kept, lost + report.lost);
    }
    assert!(kept > 0 && lost > 0);
}

#[test]
fn first_pieces_of_a_torn_request_survive() {
    let mount = cached(MIB);
    let client = Client::of(&mount, "vda");
    client.does(&Step::Write(0, vec![1; 2048])).unwrap();
    client.does(&Step::Write(4096, vec![2; 2048])).unwrap();
    let report = cut(&mount, "cut keep=first=6 tear=1");
    assert_eq!((report.kept, report.lost), (6, 2));
    let image = image(&mount);
    assert_eq!(
        (&image[..2048], &image[4096..5120]),
        (&[1; 2048][..], &[2; 1024][..])
    );
    assert_eq!(image[5120..6144], [0; 1024]);
}

#[test]
fn growth_that_is_lost_is_gone_for_every_client() {
    let mount = cached(MIB);
    let client = Client::of(&mount, "vda");
    client.does(&Step::Truncate(3 << 20)).unwrap();
    client.does(&Step::Write(3 << 20, vec![1; 1000])).unwrap();
    let size = || std::fs::metadata(mount.vda()).unwrap().len();
    assert_eq!(
        (size(), image(&mount).len()),
        (3 * MIB + 1000, MIB as usize)
    );
    assert_eq!(mount.read("vda/size"), format!("{}\n", 3 * MIB + 1000));
    cut(&mount, "cut keep=only=1");
    assert_eq!((size(), image(&mount).len()), (3 * MIB, 3 << 20));
    power_on(&mount);
    client
        .does(&Step::Write((3 << 20) + 512, vec![2; 512]))
        .unwrap();
    assert_eq!(size(), 3 * MIB + 1024);
    cut(&mount, "cut");
    assert_eq!((size(), image(&mount).len()), (3 * MIB, 3 << 20));
    assert_eq!(mount.read("vda/size"), format!("{}\n", 3 * MIB));
}
