//! `--seeds` and `--shard`.

use std::ops::RangeInclusive;
use std::str::FromStr;

/// Seeds of one sweep; more would not end.
const SEEDS_MAX: u64 = 10_000_000;

/// `7`, or `1..1000` with both its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seeds(RangeInclusive<u64>);

impl Seeds {
    pub fn one(seed: u64) -> Seeds {
        Seeds(seed..=seed)
    }

    pub fn iter(&self) -> impl Iterator<Item = u64> {
        self.0.clone()
    }
}

/// `--seed N`.
pub fn seed(text: &str) -> Result<u64, String> {
    text.parse::<u64>().map_err(|_| format!("`{text}` is no seed: a whole number from 0 on"))
}

impl FromStr for Seeds {
    type Err = String;

    fn from_str(text: &str) -> Result<Seeds, String> {
        let range = match text.split_once("..") {
            None => seed(text)?..=seed(text)?,
            Some((first, last)) => seed(first)?..=seed(last.strip_prefix('=').unwrap_or(last))?,
        };
        if range.is_empty() {
            return Err("the last seed is smaller than the first".to_owned());
        }
        if range.end() - range.start() >= SEEDS_MAX {
            return Err(format!("more than {SEEDS_MAX} seeds"));
        }
        Ok(Seeds(range))
    }
}

/// The K-th of N parts, K from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    number: usize,
    of: usize,
}

impl Shard {
    /// Every N-th item, so that parts are of one length and one kind.
    pub fn part<T>(self, items: Vec<T>) -> Vec<T> {
        items.into_iter().skip(self.number - 1).step_by(self.of).collect()
    }
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Shard, String> {
        let wrong = || format!("`{text}` is no shard: K/N, such as 2/8, with K from 1 to N");
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let shard =
            Shard { number: number.parse().map_err(|_| wrong())?, of: of.parse().map_err(|_| wrong())? };
        if shard.number >= 1 && shard.number <= shard.of { Ok(shard) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_one_or_a_range_with_both_ends() {
        let seeds = |text: &str| text.parse::<Seeds>().map(|seeds| seeds.iter().collect::<Vec<_>>());
        assert_eq!(seeds("7"), Ok(vec![7]));
        assert_eq!(seeds("1..3"), Ok(vec![1, 2, 3]));
        for wrong in ["", "x", "3..1", "-1", "1..", "0..18446744073709551615"] {
            assert!(seeds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn shards_are_disjoint_and_whole() {
        let all: Vec<_> = (0..10).collect();
        let parts = (1..=3).map(|k| format!("{k}/3").parse::<Shard>().unwrap().part(all.clone()));
        let mut together: Vec<_> = parts.flatten().collect();
        together.sort_unstable();
        assert_eq!(together, all);
        for wrong in ["", "0/3", "4/3", "1", "1/0", "a/b"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
