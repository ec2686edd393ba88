//! Random histories of a disk that goes back in time, against a model that is as simple as can be.

use super::*;
use crate::protocol::{CacheMode, CheckpointCommand, PowerCommand};

/// Most bytes of the disk.
const MOST: u64 = 6000;

/// What a disk holds, and what of it a power cut cannot take.
#[derive(Clone)]
struct Model {
    now: Vec<u8>,
    durable: Vec<u8>,
    cache: CacheMode,
}

struct History {
    bench: Bench,
    model: Model,
    saved: Vec<(u32, Model)>,
    random: fastrand::Rng,
}

impl History {
    fn new(random: fastrand::Rng, delays: &Arc<Delays>) -> Self {
        let bench = Bench::with(3000, Arc::clone(delays));
        let zeros = vec![0; 3000];
        Self {
            bench,
            model: Model {
                now: zeros.clone(),
                durable: zeros,
                cache: CacheMode::Off,
            },
            saved: Vec::new(),
            random,
        }
    }

    fn ask(&self, request: Request<'_>) {
        answer(&self.bench.submit(request)).unwrap();
    }

    fn range(&mut self) -> (u64, u64) {
        let offset = self.random.u64(0..MOST - 1);
        (offset, self.random.u64(1..=(MOST - offset).min(900)))
    }

    fn change(&mut self) {
        let (offset, len) = self.range();
        let (start, end) = (offset as usize, (offset + len) as usize);
        let zero = |bytes: &mut Vec<u8>| {
            let size = bytes.len();
            bytes[start.min(size)..end.min(size)].fill(0);
        };
        let now = &mut self.model.now;
        let request = match self.random.u8(0..6) {
            0..3 => {
                let data = vec![self.random.u8(1..); len as usize];
                now.resize(now.len().max(end), 0);
                now[start..end].copy_from_slice(&data);
                let fua = self.random.bool().then_some(Fua::Data);
                // A write with FUA is durable alone: the model would have to know what is pending.
                let fua = fua.filter(|_| self.model.cache == CacheMode::Off);
                Request::Write {
                    offset,
                    data: data.into(),
                    fua,
                }
            }
            3 => {
                zero(now);
                Request::Discard { offset, len }
            }
            4 => {
                let keep_size = self.random.bool();
                if !keep_size {
                    now.resize(now.len().max(end), 0);
                }
                zero(now);
                Request::Zero {
                    offset,
                    len,
                    keep_size,
                }
            }
            _ => {
                // A disk does not shrink: what is cut off becomes zeros.
                let from = start.min(now.len());
                now[from..].fill(0);
                Request::SetSize { size: offset }
            }
        };
        if let Request::SetSize { size } = request
            && size > now.len() as u64
        {
            now.resize(size as usize, 0);
        }
        self.ask(request);
        self.settle_model();
    }

    fn settle_model(&mut self) {
        if self.model.cache == CacheMode::Off {
            self.model.durable.clone_from(&self.model.now);
        }
    }

    fn cut(&mut self) {
        let keep = ["none", "all"][self.random.usize(..2)];
        let Ok(PowerCommand::Cut(cut)) = format!("cut keep={keep}").parse() else {
            panic!("{keep}");
        };
        let disk = &self.bench.disk;
        let under_way = disk.mains.begin_cut(Some(disk));
        under_way.finish(&cut, None, || ()).unwrap();
        assert!(disk.return_power());
        match keep {
            "none" => self.model.now.clone_from(&self.model.durable),
            _ => self.model.durable.clone_from(&self.model.now),
        }
    }

    fn travel(&mut self, step: u32) {
        let command = match (self.random.u8(..3), self.saved.is_empty()) {
            (0, _) if self.saved.len() < 5 => {
                self.saved.push((step, self.model.clone()));
                format!("save s{step}")
            }
            (1, false) => {
                let (name, model) = &self.saved[self.random.usize(..self.saved.len())];
                self.model.clone_from(model);
                format!("restore s{name}")
            }
            (2, false) => {
                let (name, _) = self.saved.remove(self.random.usize(..self.saved.len()));
                format!("drop s{name}")
            }
            _ => return,
        };
        let command: CheckpointCommand = command.parse().unwrap();
        self.bench.disk.checkpoint(&command).unwrap();
    }

    fn step(&mut self, step: u32) {
        match self.random.u8(..10) {
            0..5 => self.change(),
            5 => {
                self.ask(Request::Flush { data_only: false });
                self.model.durable.clone_from(&self.model.now);
            }
            6 => self.cut(),
            7 => {
                let mode = [CacheMode::Off, CacheMode::Volatile][self.random.usize(..2)];
                self.bench.disk.set_cache_mode(mode).unwrap();
                if mode != self.model.cache {
                    self.model.durable.clone_from(&self.model.now);
                }
                self.model.cache = mode;
            }
            _ => self.travel(step),
        }
    }

    fn check(&self, what: &str) {
        let disk = &self.bench.disk;
        assert_eq!(disk.size().unwrap(), self.model.now.len() as u64, "{what}");
        assert_eq!(disk.cache_mode(), self.model.cache, "{what}");
        let len = MOST as u32;
        let found = answer(&self.bench.submit(Request::Read { offset: 0, len })).unwrap();
        assert!(found == self.model.now, "{what}");
    }
}

#[test]
fn disk_at_random_goes_back_in_time_as_a_simple_model_does() {
    let seed = match std::env::var("PROVIUM_TEST_SEED") {
        Ok(seed) => seed.parse().unwrap(),
        Err(_) => fastrand::u64(..),
    };
    println!("PROVIUM_TEST_SEED={seed} runs this again");
    let mut random = fastrand::Rng::with_seed(seed);
    let delays = Arc::new(Delays::start(Arc::new(Pool::default())).unwrap());
    for history in 0..1000 {
        let mut one = History::new(random.fork(), &delays);
        for step in 0..40 {
            one.step(step);
            one.check(&format!("seed {seed}, history {history}, step {step}"));
        }
        one.bench.disk.save_all(false).unwrap();
        let image = &one.bench.image;
        let mut bytes = vec![0; image.size().unwrap() as usize];
        image.read_at(&mut bytes, 0).unwrap();
        assert!(
            bytes == one.model.now,
            "seed {seed}, history {history}: the image"
        );
    }
}
