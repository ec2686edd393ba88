//! Which tests run, and in which order.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::events::TestInfo;
use crate::units::fnv;
use crate::units::text;

/// The selection of the command line. All parts of it must hold.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Texts of which `PATH: NAME` contains one; all tests without any.
    pub filters: Vec<String>,
    /// Tags of which a test has one; all tests without any.
    pub tags: Vec<String>,
    /// Tags of which a test has none.
    pub no_tags: Vec<String>,
    /// The part of the whole.
    pub partition: Option<Partition>,
    /// The tests that failed in the last run.
    pub failed: Option<BTreeSet<TestId>>,
    /// Files of which only the test at a line is wanted: the one that is declared last before it.
    pub lines: Vec<(PathBuf, u32)>,
    /// The folder at which the names of files start that other runs and machines use.
    pub root: PathBuf,
}

/// A test, or a whole file, by a name that other runs and machines understand.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct TestId {
    /// The file, relative to the project's folder.
    pub file: String,
    /// The test; the whole file without one.
    pub test: Option<String>,
}

/// One of several parts that together are the whole, each test in exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    kind: PartitionKind,
    /// From 1.
    part: u64,
    of: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PartitionKind {
    Slice,
    Hash,
}

/// A file with those of its tests that were selected.
pub type Selected = (PathBuf, Vec<TestInfo>);

impl Selection {
    /// Whether the selection needs the names of all tests.
    pub fn wants_names(&self) -> bool {
        !self.filters.is_empty()
            || !self.tags.is_empty()
            || !self.no_tags.is_empty()
            || self.partition.is_some()
            || self.failed.is_some()
            || !self.lines.is_empty()
    }

    /// The tests among `files` that are wanted; files without one are left out.
    pub fn of(&self, files: Vec<Selected>) -> Vec<Selected> {
        let files = files.into_iter().map(|selected| self.at_line(selected));
        let wanted = |file: &Path, test: &TestInfo| self.wants(file, test);
        retain(files.collect(), wanted)
    }

    /// Those of the selected tests that are in our part of the whole; all of them without partition.
    pub fn part_of(&self, files: Vec<Selected>) -> Vec<Selected> {
        let mut position = 0;
        retain(files, |file, test| {
            position += 1;
            // The same on each machine, wherever it keeps the project.
            let id = format!("{}: {}", file_name(file), test.name);
            self.partition
                .is_none_or(|part| part.has(position - 1, &id))
        })
    }

    fn at_line(&self, (file, mut tests): Selected) -> Selected {
        let mut lines = self.lines.iter();
        if let Some((_, line)) = lines.find(|(of, _)| *of == file) {
            let before = tests.iter().map(|test| test.line).filter(|at| at <= line);
            let nearest = before.max();
            tests.retain(|test| Some(test.line) == nearest);
        }
        (file, tests)
    }

    fn wants(&self, file: &Path, test: &TestInfo) -> bool {
        let full = format!("{}: {}", text::path(file), test.name);
        let has = |tag: &String| test.tags.contains(tag);
        let (filters, tags) = (&self.filters, &self.tags);
        (filters.is_empty() || filters.iter().any(|text| full.contains(text)))
            && (tags.is_empty() || tags.iter().any(has))
            && !self.no_tags.iter().any(has)
            && self.failed.as_ref().is_none_or(|failed| {
                failed.contains(&self.id(file, None))
                    || failed.contains(&self.id(file, Some(&test.name)))
            })
    }

    /// The name of a test for other runs.
    pub fn id(&self, file: &Path, test: Option<&str>) -> TestId {
        TestId {
            file: self.relative(file),
            test: test.map(str::to_owned),
        }
    }

    fn relative(&self, file: &Path) -> String {
        let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
        text::path(absolute.strip_prefix(&self.root).unwrap_or(&absolute))
    }
}

fn file_name(file: &Path) -> String {
    text::path(Path::new(file.file_name().unwrap_or_default()))
}

fn retain(files: Vec<Selected>, mut wanted: impl FnMut(&Path, &TestInfo) -> bool) -> Vec<Selected> {
    let select = |(file, mut tests): Selected| {
        tests.retain(|test| wanted(&file, test));
        (!tests.is_empty()).then_some((file, tests))
    };
    files.into_iter().filter_map(select).collect()
}

impl Partition {
    fn has(self, position: u64, id: &str) -> bool {
        let place = match self.kind {
            PartitionKind::Slice => position,
            PartitionKind::Hash => fnv(id.as_bytes()),
        };
        place % self.of == self.part - 1
    }
}

impl FromStr for Partition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = || {
            let (kind, rest) = text.split_once(':')?;
            let kind = match kind {
                "slice" => PartitionKind::Slice,
                "hash" => PartitionKind::Hash,
                _ => return None,
            };
            let (part, of) = rest.split_once('/')?;
            let (part, of) = (part.parse().ok()?, of.parse().ok()?);
            (1..=of).contains(&part).then_some(Self { kind, part, of })
        };
        parsed().ok_or_else(|| {
            "a partition is slice:M/N or hash:M/N, with M from 1 to N, as in hash:1/3".into()
        })
    }
}

/// Brings files, and the tests of each, into an order that `seed` decides. The order of a file's tests
/// depends only on the seed and the file.
pub fn shuffle(files: &mut [Selected], seed: u64) {
    for (file, tests) in files.iter_mut() {
        let of_file = fnv(file_name(file).as_bytes());
        fastrand::Rng::with_seed(seed ^ of_file).shuffle(tests);
    }
    fastrand::Rng::with_seed(seed).shuffle(files);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn suite(tests: usize) -> Vec<Selected> {
        let test = |n| TestInfo {
            name: format!("test {n}"),
            line: 1,
            tags: vec![if n % 2 == 0 { "even" } else { "odd" }.into()],
        };
        let half = tests / 2;
        vec![
            ("/p/a.test.lua".into(), (0..half).map(test).collect()),
            ("/p/b.test.lua".into(), (half..tests).map(test).collect()),
        ]
    }

    fn names(selected: &[Selected]) -> Vec<String> {
        let all = selected.iter().flat_map(|(_, tests)| tests);
        all.map(|test| test.name.clone()).collect()
    }

    fn part(text: &str) -> Selection {
        Selection {
            partition: Some(text.parse().unwrap()),
            root: "/p".into(),
            ..Selection::default()
        }
    }

    #[test]
    fn selection_filters_by_path_and_name_and_by_tags() {
        let filters = Selection {
            filters: vec!["b.test.lua: test 3".into(), "test 0".into()],
            ..Selection::default()
        };
        assert_eq!(names(&filters.of(suite(4))), ["test 0", "test 3"]);
        let tags = Selection {
            tags: vec!["even".into(), "none".into()],
            ..Selection::default()
        };
        assert_eq!(names(&tags.of(suite(4))), ["test 0", "test 2"]);
        let no_tags = Selection {
            no_tags: vec!["even".into()],
            ..Selection::default()
        };
        assert_eq!(names(&no_tags.of(suite(4))), ["test 1", "test 3"]);
    }

    #[test]
    fn selection_by_line_takes_the_test_that_is_declared_before_it() {
        let test = |line| TestInfo {
            name: format!("at {line}"),
            line,
            ..TestInfo::default()
        };
        let file = PathBuf::from("/p/a.test.lua");
        let at = |line| {
            let selection = Selection {
                lines: vec![(file.clone(), line)],
                ..Selection::default()
            };
            names(&selection.of(vec![(file.clone(), vec![test(3), test(9)])]))
        };
        assert_eq!([at(3), at(8), at(100)], [["at 3"], ["at 3"], ["at 9"]]);
        assert!(at(2).is_empty());
    }

    #[test]
    fn selection_takes_what_failed_by_test_or_by_file() {
        let mut selection = Selection {
            root: "/p".into(),
            ..Selection::default()
        };
        let failed = [
            selection.id(Path::new("/p/a.test.lua"), Some("test 1")),
            selection.id(Path::new("/p/b.test.lua"), None),
        ];
        assert_eq!(failed[0].file, "a.test.lua");
        selection.failed = Some(failed.into());
        assert_eq!(
            names(&selection.of(suite(4))),
            ["test 1", "test 2", "test 3"]
        );
    }

    proptest! {
        #[test]
        fn partition_parts_are_the_whole_and_share_nothing(tests in 0_usize..60, of in 1_u64..7) {
            for kind in ["slice", "hash"] {
                let parts = (1..=of).flat_map(|n| names(&part(&format!("{kind}:{n}/{of}")).part_of(suite(tests))));
                let mut all: Vec<_> = parts.collect();
                let mut whole = names(&suite(tests));
                all.sort();
                whole.sort();
                prop_assert_eq!(all, whole);
            }
        }

        #[test]
        fn partition_by_hash_keeps_a_test_in_its_part_when_others_go(tests in 2_usize..40) {
            let before = names(&part("hash:1/3").part_of(suite(tests)));
            let mut fewer = suite(tests);
            fewer.remove(0);
            let after = names(&part("hash:1/3").part_of(fewer.clone()));
            let left = names(&fewer);
            let expected: Vec<_> = before.into_iter().filter(|name| left.contains(name)).collect();
            prop_assert_eq!(after, expected);
        }
    }

    #[test]
    fn partition_hash_is_the_same_on_every_machine() {
        assert_eq!(names(&part("hash:1/3").part_of(suite(6))), ["test 2"]);
        assert_eq!(
            fnv(b"a"),
            0xaf63_dc4c_8601_ec8c,
            "FNV-1a's published test vector"
        );
    }

    #[test]
    fn partition_has_a_kind_and_a_part_of_the_whole() {
        for bad in [
            "",
            "hash",
            "hash:0/3",
            "hash:4/3",
            "slice:1/0",
            "half:1/2",
            "hash:1",
        ] {
            assert!(bad.parse::<Partition>().is_err(), "{bad}");
        }
    }

    #[test]
    fn shuffle_gives_one_order_for_each_seed() {
        let order = |seed| {
            let mut files = suite(40);
            shuffle(&mut files, seed);
            files
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        let mut sorted = names(&order(1));
        sorted.sort();
        let mut whole = names(&suite(40));
        whole.sort();
        assert_eq!(sorted, whole);
    }
}
