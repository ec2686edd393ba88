//! The vocabulary of rules in words: what each action, each of its keys and each selector means, with an example.
//!
//! The help and the explanation of a rule are made of it. Each example is a rule that parses; a test checks that.

use super::{ActionKey, ActionKind, Mode, Rule, Selector};

impl Mode {
    /// What it does, in a clause.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::EioRead => "reads fail with EIO",
            Self::EioWrite => "writes and write zeroes fail with EIO",
            Self::Slow => "reads, writes and write zeroes wait 50 ms first",
        }
    }
}

impl ActionKind {
    /// What it does, in a clause.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Error => "the request fails and does not touch the image",
            Self::Delay => "the request waits before it is served",
            Self::Hang => "the request is held until it is released, or until max= has passed",
            Self::Corrupt => {
                "the data are wrong: for the reader alone, or on the image when they are written"
            }
            Self::Lose => {
                "the sectors of at= are acknowledged and never done: without at=, all of it"
            }
            Self::Tear => "only the first keep= sectors of the write reach the image",
            Self::Misdirect => "the sectors of at= are served by= sectors away from their place",
            Self::Stale => "the read returns what the sectors held when the rule was armed",
            Self::Limit => {
                "no more requests pass than it says: the others wait in the order in which they came"
            }
            Self::Cut => "the power goes off at this request: from then on every request fails",
        }
    }

    /// A rule with it.
    pub fn example(self) -> &'static str {
        match self {
            Self::Error => "error op=read errno=EIO at=2048+8",
            Self::Delay => "delay op=flush by=20ms..80ms",
            Self::Hang => "hang op=write max=10s then=ok tag=stuck",
            Self::Corrupt => "corrupt op=read how=flip bits=1 p=0.001 seed=7",
            Self::Lose => "lose op=flush",
            Self::Tear => "tear keep=1 times=1",
            Self::Misdirect => "misdirect op=write by=+8 skip=9 times=1",
            Self::Stale => "stale at=0+64",
            Self::Limit => "limit op=read,write rate=10M iops=200 burst=1M lanes=2",
            Self::Cut => "cut op=flush keep=random seed=7 tear=8 skip=2 times=1",
        }
    }

    /// What that rule does.
    pub fn example_effect(self) -> &'static str {
        match self {
            Self::Error => "reads that touch one of the 8 sectors from 2048 on fail with EIO",
            Self::Delay => "each flush takes 20 to 80 ms longer",
            Self::Hang => "writes are held for 10 s or until `--release stuck`, and then done",
            Self::Corrupt => "one bit of one read in a thousand is flipped",
            Self::Lose => "flushes do nothing and succeed",
            Self::Tear => "of the next write only the first sector is written, and it succeeds",
            Self::Misdirect => "the tenth write lands 8 sectors too far",
            Self::Stale => "reads of the first 64 sectors miss all writes from now on",
            Self::Limit => "reads and writes together get 10 MiB/s, 200 requests/s, and 2 at once",
            Self::Cut => {
                "at the third flush all disks lose power; unflushed pieces of 8 sectors survive or not"
            }
        }
    }
}

impl ActionKind {
    /// What the value of `key`, one of its keys, means.
    pub fn meaning_of(self, key: ActionKey) -> &'static str {
        if key == ActionKey::By && self == Self::Misdirect {
            return "sectors with their sign, as in +8 or -8";
        }
        if key == ActionKey::Keep && self == Self::Cut {
            return "which pending requests survive: none (default), all, first=N, only=N,N or random";
        }
        if key == ActionKey::Then && self == Self::Tear {
            return "how it ends: ok (default), or an error";
        }
        key.meaning()
    }
}

impl ActionKey {
    /// What its value means, unless the action says otherwise.
    fn meaning(self) -> &'static str {
        match self {
            Self::Heal => {
                "write: a sector is good from then on that is written or zeroed as a whole"
            }
            Self::Tries => {
                "with heal=, writes to a bad sector fail before the Nth try (default: 1)"
            }
            Self::Spares => {
                "with heal=, at most this many sectors heal; then writes to bad ones fail"
            }
            Self::Errno => "the error, by name or number (default: EIO)",
            Self::By => {
                "a time, or a range; normal:MEAN,SD, lognormal:MEAN,SD, pareto:MIN,SHAPE, p50:TIME,p99:TIME"
            }
            Self::Max => "the longest time that a request is held (default: 60s)",
            Self::Then => "how it ends after that: ok, or an error (default: EIO)",
            Self::How => "flip, zero, random or fill",
            Self::Bits => "with how=flip, how many bits (default: 1)",
            Self::Byte => "with how=fill, the byte, as in 0xee",
            Self::Keep => "how many sectors are written",
            Self::Point => "before: the request is not done (default); after: it is done first",
            Self::Scope => "mount: all disks lose their power (default); disk: this one alone",
            Self::P => "with keep=random, each survives with this probability (default: 0.5)",
            Self::Seed => "the seed of what survives",
            Self::Tear => "pieces of this many sectors survive or not, not whole requests",
            Self::Rate => {
                "bytes in a second, of all its requests together, as in 10M (10 times 2^20)"
            }
            Self::Iops => "requests in a second, all together",
            Self::Burst => {
                "with rate=, so many bytes more pass at once after idle time (default: 0)"
            }
            Self::Lanes => "at most so many requests are past it and not answered",
            Self::Garbage => "with this probability a lost piece has neither old nor new data",
        }
    }
}

impl Selector {
    /// Which requests it selects.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Op => "requests of these kinds: read, write, flush, discard, zero, or all",
            Self::At => "requests that overlap these sectors: START+COUNT, also 1M+64K or end-8+8",
            Self::Sectors => {
                "requests that overlap one of N sectors, drawn by seed= when armed, from at= or the disk"
            }
            Self::Cluster => "with sectors=: drawn in groups of this many near each other",
            Self::Size => "requests of this length in bytes; either end may be left out",
            Self::Client => {
                "guest: requests of all clients but the sector calls of a test; host: these alone"
            }
            Self::Skip => "those after the first N matching requests",
            Self::Every => "of each N of the others the last",
            Self::P => "each with this probability, from 0 to 1",
            Self::Per => "with p=, sector: drawn for each sector of a request, whatever its length",
            Self::Seed => "the seed of the random decisions: the same requests fail again",
            Self::Times => "at most N requests in all",
            Self::After => "from this long after arming on",
            Self::For => "for this long",
            Self::Up => "with down=: the fault is on for this long, in turn",
            Self::Down => "with up=: and then off for this long",
            Self::When => "only after a rule with this tag has fired",
            Self::Tag => "selects nothing: a name to remove, release or wait for the rule by",
        }
    }

    /// A rule with it.
    pub fn example(self) -> &'static str {
        match self {
            Self::Op => "error op=read,write",
            Self::At => "error at=2048+8,end-8+8",
            Self::Sectors => "eio_read sectors=300 seed=9",
            Self::Cluster => "eio_read sectors=300 cluster=10 seed=9",
            Self::Size => "error size=4K..1M",
            Self::Client => "eio_read client=guest",
            Self::Skip => "eio_write skip=2",
            Self::Every => "eio_read every=3",
            Self::P => "eio_read p=0.1",
            Self::Per => "eio_read p=0.001 per=sector",
            Self::Seed => "eio_read p=0.1 seed=42",
            Self::Times => "eio_read times=1",
            Self::After => "eio_read after=500ms",
            Self::For => "slow for=2m",
            Self::Up => "eio_read up=1s down=4s",
            Self::Down => "eio_read up=1s down=4s",
            Self::When => "eio_read when=first",
            Self::Tag => "lose op=write times=1 tag=first",
        }
    }

    /// The word of the example that has it.
    pub fn example_word(self) -> &'static str {
        let key = |word: &&str| {
            word.split_once('=')
                .is_some_and(|(key, _)| key == self.name())
        };
        self.example().split(' ').find(key).unwrap_or_default()
    }
}

impl Rule {
    /// What it means: its action, and then each of its words.
    pub fn meanings(&self) -> Vec<(String, String)> {
        let kind = self.action.kind();
        let full = self.in_full();
        let words = full.split(' ').skip(1).filter_map(|word| {
            let (key, value) = word.split_once('=')?;
            let mut own = kind.keys().iter();
            let own = own.find(|own| own.name() == key);
            let meaning = match own {
                Some(own) => kind.meaning_of(*own).to_owned(),
                None => Selector::named(key)?
                    .meaning()
                    .replace(" N ", &format!(" {value} ")),
            };
            Some((word.to_owned(), meaning))
        });
        let first = (kind.name().to_owned(), kind.meaning().to_owned());
        std::iter::once(first).chain(words).collect()
    }
}
