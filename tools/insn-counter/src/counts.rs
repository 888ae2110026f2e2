//! The counts: one counter for each address that was translated, added up per stage at every marker.

use crate::marker::STAGES;
use std::collections::HashMap;
use std::fmt::Write;

/// Addresses that can be counted. A firmware of 128 KB of code has at most this many instructions.
pub const ADDRESSES: usize = 1 << 16;

/// Everything that is known between two markers and at the end.
pub struct Counts {
    /// Index of an address in the counters.
    index: HashMap<u64, usize>,
    /// Address and disassembly of each counter.
    instructions: Vec<(u64, String)>,
    /// Counters at the last marker.
    before: Vec<u64>,
    /// Executions per stage and counter.
    stages: [Vec<u64>; STAGES],
    /// Stage that runs, and every stage so far with its instructions.
    current: usize,
    intervals: Vec<(usize, u64)>,
    /// True when an address found no counter: the counts are not whole then.
    overflowed: bool,
}

impl Counts {
    /// Nothing counted, no stage running.
    pub fn new() -> Self {
        Counts {
            index: HashMap::new(),
            instructions: Vec::new(),
            before: Vec::new(),
            stages: Default::default(),
            current: 0,
            intervals: Vec::new(),
            overflowed: false,
        }
    }

    /// The counter of an address; none when all are taken. `describe` is asked once for each address.
    pub fn counter(&mut self, address: u64, describe: impl FnOnce() -> String) -> Option<usize> {
        if let Some(&index) = self.index.get(&address) {
            return Some(index);
        }
        if self.instructions.len() == ADDRESSES {
            self.overflowed = true;
            return None;
        }
        let index = self.instructions.len();
        self.index.insert(address, index);
        self.instructions.push((address, describe()));
        Some(index)
    }

    /// A marker was executed: `now` are the counters, `stage` begins.
    pub fn mark(&mut self, now: &[u64], stage: usize) {
        let used = self.instructions.len().min(now.len());
        let now = &now[..used];
        self.before.resize(used, 0);
        let bucket = &mut self.stages[self.current];
        bucket.resize(bucket.len().max(used), 0);
        let mut sum = 0;
        for ((total, before), now) in bucket.iter_mut().zip(&mut self.before).zip(now) {
            let executed = now - *before;
            *total += executed;
            *before = *now;
            sum += executed;
        }
        self.intervals.push((self.current, sum));
        self.current = stage;
    }

    /// The report: lines of `interval STAGE INSTRUCTIONS`, then `count STAGE ADDRESS EXECUTIONS DISASSEMBLY`, then `end` or, when
    /// addresses were left out, `overflow`. Stage 0 (not measured) is left out.
    pub fn report(&self) -> String {
        let mut text = String::from("ldae-insn-counter 1\n");
        // Writing to a String does not fail.
        for (stage, executed) in self.intervals.iter().filter(|(stage, _)| *stage != 0) {
            let _ = writeln!(text, "interval {stage} {executed}");
        }
        for (stage, counts) in self.stages.iter().enumerate().skip(1) {
            for (executed, (address, disassembly)) in counts.iter().zip(&self.instructions).filter(|(n, _)| **n != 0) {
                let _ = writeln!(text, "count {stage} {address:#x} {executed} {disassembly}");
            }
        }
        text.push_str(if self.overflowed { "overflow\n" } else { "end\n" });
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executions_go_to_the_stage_that_ran() {
        let mut c = Counts::new();
        let name = |n: &str| n.to_owned();
        assert_eq!(c.counter(0x10, || name("nop")), Some(0));
        assert_eq!(c.counter(0x10, || unreachable!()), Some(0));
        c.mark(&[5], 1); // five before any stage
        assert_eq!(c.counter(0x12, || name("bx lr")), Some(1));
        c.mark(&[7, 1], 2);
        c.mark(&[7, 4], 0);
        c.mark(&[9, 9], 1);
        assert_eq!(
            c.report(),
            "ldae-insn-counter 1\ninterval 1 3\ninterval 2 3\n\
             count 1 0x10 2 nop\ncount 1 0x12 1 bx lr\ncount 2 0x12 3 bx lr\nend\n"
        );
    }
}
