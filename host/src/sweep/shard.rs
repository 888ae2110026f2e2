//! `--shard i/n`: part i of n of a sweep's cells, dealt out round robin.

use crate::{Error, Result};
use std::str::FromStr;

/// Part `index` (from 1) of `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    index: usize,
    count: usize,
}

impl Shard {
    /// True when cell number `cell` (from 0) belongs to this part.
    pub fn has(self, cell: usize) -> bool {
        cell % self.count == self.index - 1
    }
}

impl FromStr for Shard {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parsed = text.split_once('/').and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parsed {
            Some((index, count)) if (1..=count).contains(&index) => Ok(Shard { index, count }),
            _ => {
                Err(Error::new(format!("`{text}` is no shard")).hint("give i/n with i from 1 to n: --shard 1/4 to 4/4"))
            }
        }
    }
}

impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_deal_out_every_cell_once() {
        let shards: Vec<Shard> = ["1/3", "2/3", "3/3"].iter().map(|s| s.parse().unwrap()).collect();
        for cell in 0..20 {
            assert_eq!(shards.iter().filter(|s| s.has(cell)).count(), 1);
        }
        for bad in ["", "1", "0/3", "4/3", "1/0", "a/b", "1/2/3"] {
            assert!(bad.parse::<Shard>().unwrap_err().advice().is_some(), "{bad}");
        }
    }
}
