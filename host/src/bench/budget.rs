//! Recorded instruction counts (`budgets.toml`), and whether a measurement keeps to them.

use super::Measurement;
use crate::error::Context;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Bytes at the end of the plan that may stay unwritten: padding that a product reads against zero weights and nobody needs
/// to write. Measured: 0 but for preset s, whose 36 tokens the DSP kernel pads to 48 (48 bytes of probabilities) and whose
/// last region on Helium ends at a multiple of 16 (8 bytes).
const UNTOUCHED: u32 = 48;
/// Preset that the bars are for.
const BAR_PRESET: &str = "m";

/// The recorded counts.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Part of a budget by which a count may exceed it: compilers differ.
    pub tolerance: f64,
    /// Instructions per multiply-accumulate that preset m should not exceed, by core.
    pub bars: BTreeMap<String, f64>,
    /// Most stack of one inference, bytes, by core.
    pub stack: BTreeMap<String, u64>,
    /// Instructions of one inference, by preset and core.
    pub instructions: BTreeMap<String, BTreeMap<String, u64>>,
}

/// A measurement beside its budget.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// Preset or file.
    pub model: String,
    /// Name of the device.
    pub device: String,
    /// Recorded instructions; none if nothing is recorded.
    pub budget: Option<u64>,
    /// Everything that is wrong, in words; empty when the measurement passes.
    pub faults: Vec<String>,
    /// Instructions per multiply-accumulate that are aimed at, and whether they are reached.
    pub bar: Option<(f64, bool)>,
}

impl Budget {
    /// The budgets of this version.
    ///
    /// # Errors
    /// The file in the program is malformed.
    pub fn recorded() -> Result<Self> {
        toml::from_str(include_str!("budgets.toml"))
            .context(|| "budgets.toml is malformed")
            .map_err(|e: Error| e.hint("repair host/src/bench/budgets.toml and build again"))
    }

    /// Recorded stack of a core as `ldae pack --target` takes it; that of the deepest core where none is recorded.
    pub fn stack_of(&self, core: &str) -> u64 {
        let same = match core {
            "cortex-m0+" => "cortex-m0",
            "cortex-m85" => "cortex-m55",
            "rv32imc" => "rv32imac",
            core => core,
        };
        self.stack.get(same).or(self.stack.values().max()).copied().unwrap_or(0)
    }

    /// Compares a measurement with its budget, its plan and this machine's embedding.
    pub fn judge(&self, m: &Measurement) -> Judgement {
        let core = m.device.strip_prefix("qemu:").unwrap_or(&m.device);
        let budget = self.instructions.get(&m.model).and_then(|cores| cores.get(core)).copied();
        let mut faults = Vec::new();
        if !m.embedding_equal {
            faults.push("the embedding differs from this machine's".to_owned());
        }
        if !(m.scratch_bytes.saturating_sub(UNTOUCHED)..=m.scratch_bytes).contains(&m.scratch_touched) {
            faults.push(format!("{} bytes of scratch used, {} planned", m.scratch_touched, m.scratch_bytes));
        }
        if let Some(n) = m.profile.as_ref().map(|p| p.float_instructions).filter(|n| *n != 0) {
            faults.push(format!("{n} floating-point instructions"));
        }
        match self.stack.get(core) {
            Some(&stack) if u64::from(m.stack_bytes) > stack => {
                faults.push(format!("{} bytes of stack, {stack} recorded", m.stack_bytes));
            }
            _ => {}
        }
        match budget {
            None => faults.push("no count is recorded in budgets.toml".to_owned()),
            Some(budget) if m.instructions as f64 > budget as f64 * (1.0 + self.tolerance) => {
                faults.push(format!("{} instructions, {budget} recorded", m.instructions));
            }
            Some(_) => {}
        }
        let bar = self.bars.get(core).filter(|_| m.model == BAR_PRESET).map(|bar| (*bar, m.per_mac <= *bar));
        Judgement { model: m.model.clone(), device: m.device.clone(), budget, faults, bar }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::instructions::Stages;

    fn measurement(instructions: u64) -> Measurement {
        Measurement {
            model: "m".to_owned(),
            device: "qemu:cortex-m7".to_owned(),
            board: String::new(),
            kernel: String::new(),
            macs: 1000,
            instructions,
            per_mac: instructions as f64 / 1000.0,
            stages: Stages::default(),
            artifact_bytes: 0,
            scratch_bytes: 64,
            scratch_touched: 64,
            stack_bytes: 0,
            embedding_equal: true,
            profile: None,
        }
    }

    #[test]
    fn the_recorded_file_is_read() {
        let budget = Budget::recorded().unwrap();
        assert_eq!(budget.bars.len(), 7);
    }

    #[test]
    fn too_many_instructions_a_wrong_embedding_and_another_scratch_are_faults() {
        let cores = BTreeMap::from([("cortex-m7".to_owned(), 1000)]);
        let budget = Budget {
            tolerance: 0.03,
            bars: BTreeMap::from([("cortex-m7".to_owned(), 1.0)]),
            stack: BTreeMap::from([("cortex-m7".to_owned(), 100)]),
            instructions: BTreeMap::from([("m".to_owned(), cores)]),
        };
        let judge = |m: &Measurement| budget.judge(m);
        assert_eq!(judge(&measurement(1000)).faults.len(), 0);
        assert_eq!(judge(&measurement(1000)).bar, Some((1.0, true)));
        assert_eq!(judge(&measurement(1029)).faults.len(), 0);
        assert_eq!(judge(&measurement(1031)).faults.len(), 1);
        assert_eq!(judge(&measurement(1031)).bar, Some((1.0, false)));
        let mut wrong = measurement(900);
        wrong.embedding_equal = false;
        wrong.scratch_touched = 15;
        wrong.stack_bytes = 101;
        assert_eq!(judge(&wrong).faults.len(), 3);
        assert_eq!((budget.stack_of("cortex-m7"), budget.stack_of("other")), (100, 100));
        let mut unknown = measurement(900);
        unknown.device = "qemu:other".to_owned();
        assert_eq!((judge(&unknown).faults.len(), judge(&unknown).budget), (1, None));
    }
}
