//! Reads what the counter wrote (tools/insn-counter/src/counts.rs says how).

use std::collections::BTreeMap;

/// Stage numbers, as the firmware marks them (firmware-examples/app/src/measure.rs).
pub mod stage {
    /// The whole inference in one call.
    pub const EMBED: usize = 1;
    /// Front end.
    pub const FRONT: usize = 2;
    /// One block.
    pub const BLOCK: usize = 3;
    /// Last LayerNorm, pooling, standardisation.
    pub const HEAD: usize = 4;
}

/// One instruction of the program and how often it was executed in the whole inference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// Times executed.
    pub times: u64,
    /// Disassembly.
    pub text: String,
}

/// Exact counts of one run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Stage and instructions of each interval between two markers, in order.
    pub intervals: Vec<(usize, u64)>,
    /// By address, the whole inference only.
    pub embed: BTreeMap<u64, Executed>,
}

/// Why a report of the counter is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CountsError {
    /// It is no report of version 1, or was cut.
    #[error("no whole report of the instruction counter")]
    Cut,
    /// More code ran than the counter has room for.
    #[error("the program has more instructions than the counter has room for")]
    Overflow,
    /// A line cannot be read.
    #[error("line {0} of the counter's report is malformed")]
    Line(usize),
}

impl Counts {
    /// Reads a report.
    ///
    /// # Errors
    /// It is cut, malformed, or says that instructions were left out.
    pub fn parse(text: &str) -> Result<Self, CountsError> {
        let mut lines = text.lines().enumerate();
        if lines.next().is_none_or(|(_, first)| first != "ldae-insn-counter 1") {
            return Err(CountsError::Cut);
        }
        let mut counts = Counts::default();
        for (number, line) in lines {
            match line {
                "end" => return Ok(counts),
                "overflow" => return Err(CountsError::Overflow),
                _ => counts.line(line).ok_or(CountsError::Line(number + 1))?,
            }
        }
        Err(CountsError::Cut)
    }

    fn line(&mut self, line: &str) -> Option<()> {
        let mut words = line.splitn(5, ' ');
        match words.next()? {
            "interval" => {
                let interval = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
                self.intervals.push(interval);
            }
            "count" => {
                let stage: usize = words.next()?.parse().ok()?;
                let address = u64::from_str_radix(words.next()?.strip_prefix("0x")?, 16).ok()?;
                let executed = Executed { times: words.next()?.parse().ok()?, text: words.next()?.to_owned() };
                if stage == stage::EMBED {
                    self.embed.insert(address, executed);
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// Instructions of every interval of a stage, in order.
    pub fn of(&self, stage: usize) -> Vec<u64> {
        self.intervals.iter().filter(|(s, _)| *s == stage).map(|(_, n)| *n).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_and_damage_is_refused() {
        let good = "ldae-insn-counter 1\ninterval 1 7\ninterval 3 4\ncount 1 0x10 7 add r0, r1\ncount 3 0x10 4 add r0, r1\nend\n";
        let counts = Counts::parse(good).unwrap();
        assert_eq!((counts.of(1), counts.of(3), counts.of(2)), (vec![7], vec![4], vec![]));
        assert_eq!(counts.embed[&16], Executed { times: 7, text: "add r0, r1".to_owned() });
        assert_eq!(Counts::parse(good.trim_end_matches("end\n")), Err(CountsError::Cut));
        assert_eq!(Counts::parse(""), Err(CountsError::Cut));
        assert_eq!(Counts::parse(&good.replace("end", "overflow")), Err(CountsError::Overflow));
        assert_eq!(Counts::parse(&good.replace("0x10 7", "10 7")), Err(CountsError::Line(4)));
    }
}
