//! Measurements as tables: for the terminal, and in Markdown for docs/RESULTS.md.

use super::{Judgement, Measurement};
use std::fmt::Write;

/// A table of instructions and memory, one line each measurement.
pub fn text(measurements: &[Measurement]) -> String {
    let mut t = format!(
        "{:<8} {:<16} {:<9} {:>13} {:>8} {:>9} {:>8} {:>7}  embedding\n",
        "model", "device", "kernel", "instructions", "per MAC", "scratch", "stack", "MMAC"
    );
    for m in measurements {
        let equal = if m.embedding_equal { "equal" } else { "DIFFERS" };
        // Writing to a String does not fail.
        let _ = writeln!(
            t,
            "{:<8} {:<16} {:<9} {:>13} {:>8.3} {:>9} {:>8} {:>7.2}  {equal}",
            m.model,
            m.device,
            m.kernel,
            m.instructions,
            m.per_mac,
            m.scratch_bytes,
            m.stack_bytes,
            m.macs as f64 / 1e6
        );
        let s = &m.stages;
        let blocks: u64 = s.blocks.iter().sum();
        let share = |n: u64| 100.0 * n as f64 / m.instructions.max(1) as f64;
        let _ = writeln!(
            t,
            "         front {} ({:.1} %), {} blocks {} ({:.1} %), head {} ({:.1} %)",
            s.front,
            share(s.front),
            s.blocks.len(),
            blocks,
            share(blocks),
            s.head,
            share(s.head)
        );
        if m.scratch_touched != m.scratch_bytes {
            let _ = writeln!(t, "         scratch was used up to byte {} only", m.scratch_touched);
        }
        if let Some(profile) = &m.profile {
            let _ = writeln!(t, "{profile}");
        }
    }
    t.truncate(t.trim_end().len());
    t
}

/// The same in Markdown.
pub fn markdown(measurements: &[Measurement]) -> String {
    let mut t = String::from(
        "| model | device | kernel | instructions | per MAC | front | a block | head | scratch, bytes | stack, bytes |\n\
         |---|---|---|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for m in measurements {
        let blocks = m.stages.blocks.len().max(1) as u64;
        let _ = writeln!(
            t,
            "| {} | {} | {} | {} | {:.3} | {} | {} | {} | {} | {} |",
            m.model,
            m.device.trim_start_matches("qemu:"),
            m.kernel,
            m.instructions,
            m.per_mac,
            m.stages.front,
            m.stages.blocks.iter().sum::<u64>() / blocks,
            m.stages.head,
            m.scratch_bytes,
            m.stack_bytes
        );
    }
    t.truncate(t.trim_end().len());
    t
}

/// The verdicts of the regression test.
pub fn verdicts(judgements: &[Judgement]) -> String {
    let mut t = String::new();
    for j in judgements {
        let verdict = if j.faults.is_empty() { "within budget".to_owned() } else { j.faults.join("; ") };
        let bar = match j.bar {
            Some((bar, true)) => format!("; bar {bar} per MAC reached"),
            Some((bar, false)) => format!("; bar {bar} per MAC missed"),
            None => String::new(),
        };
        let _ = writeln!(t, "{:<8} {:<16} {verdict}{bar}", j.model, j.device);
    }
    t.truncate(t.trim_end().len());
    t
}
