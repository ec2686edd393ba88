//! The words of a `limit`.

use super::action::ActionWords;
use super::error::GrammarError;
use crate::fault::{ActionKey, Limit};
use crate::units::size::parse_size;

/// The largest rate, in bytes a second, and the largest burst.
const MOST_BYTES: u64 = 1 << 50;
/// The largest number of requests.
const MOST_REQUESTS: u64 = 1_000_000_000;

impl ActionWords<'_, '_> {
    pub(super) fn limit(&self) -> Result<Limit, GrammarError> {
        let bytes = |key| self.bytes(key);
        let number = |key| self.number(key);
        let limit = Limit {
            rate: bytes(ActionKey::Rate)?,
            iops: number(ActionKey::Iops)?,
            burst: bytes(ActionKey::Burst)?.unwrap_or(0),
            lanes: number(ActionKey::Lanes)?,
        };
        if let Some(burst) = self.find(ActionKey::Burst)
            && limit.rate.is_none()
        {
            let what = "`burst` belongs to rate=, as in rate=10M burst=1M";
            return Err(self.line.error(burst.key, what.into()));
        }
        match limit {
            Limit {
                rate: None,
                iops: None,
                lanes: None,
                ..
            } => {
                let what =
                    "`limit` expects at least one of rate=, iops= and lanes=, as in rate=10M";
                Err(self.line.error_at_end(what.into()))
            }
            limit => Ok(limit),
        }
    }

    fn bytes(&self, key: ActionKey) -> Result<Option<u64>, GrammarError> {
        let Some(pair) = self.find(key) else {
            return Ok(None);
        };
        let bytes = parse_size(pair.value).filter(|bytes| (1..=MOST_BYTES).contains(bytes));
        let expected = match key {
            ActionKey::Rate => "bytes in a second, from 1 to 2^50, as in rate=10M",
            _ => "bytes, from 1 to 2^50, as in burst=1M",
        };
        bytes.map(Some).ok_or_else(|| self.line.bad(pair, expected))
    }

    fn number(&self, key: ActionKey) -> Result<Option<u64>, GrammarError> {
        let Some(pair) = self.find(key) else {
            return Ok(None);
        };
        let number = pair.value.parse().ok();
        let number = number.filter(|number| (1..=MOST_REQUESTS).contains(number));
        let expected = match key {
            ActionKey::Iops => "requests in a second, from 1 to 10^9",
            _ => "requests, from 1 to 10^9",
        };
        number
            .map(Some)
            .ok_or_else(|| self.line.bad(pair, expected))
    }
}
