//! Lines that come without end: the first and the last of them are kept.

use std::collections::VecDeque;

/// Lines of which the first and the last are kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    most_first: usize,
    most_last: usize,
    first: Vec<String>,
    last: VecDeque<String>,
    left_out: u64,
}

impl Kept {
    /// Keeps that many of the first lines, and that many of the last ones.
    pub(super) fn new(most_first: usize, most_last: usize) -> Self {
        Self {
            most_first,
            most_last,
            ..Self::default()
        }
    }

    pub(super) fn push(&mut self, line: String) {
        if self.first.len() < self.most_first {
            return self.first.push(line);
        }
        self.last.push_back(line);
        if self.last.len() > self.most_last {
            self.last.pop_front();
            self.left_out += 1;
        }
    }

    /// The lines, with `# N lines were lost` in place of those that are not kept.
    pub(super) fn lines(&self) -> Vec<String> {
        let gap = (self.left_out > 0).then(|| format!("# {} lines were lost", self.left_out));
        let first = self.first.iter().cloned();
        first.chain(gap).chain(self.last.iter().cloned()).collect()
    }

    /// Forgets all lines.
    pub(super) fn clear(&mut self) {
        *self = Self::new(self.most_first, self.most_last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_lines_are_the_first_and_the_last_and_say_how_many_are_not() {
        let mut kept = Kept::new(2, 2);
        (1..=3).for_each(|n| kept.push(n.to_string()));
        assert_eq!(kept.lines(), ["1", "2", "3"]);
        (4..=9).for_each(|n| kept.push(n.to_string()));
        assert_eq!(kept.lines(), ["1", "2", "# 5 lines were lost", "8", "9"]);
        kept.clear();
        assert!(kept.lines().is_empty());
    }
}
