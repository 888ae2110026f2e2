//! What can be read from the executed instructions themselves: their mix, and floating point, which must not occur.

use super::counts::Executed;
use serde::Serialize;

/// Executions of one mnemonic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mnemonic {
    /// As the emulator's disassembler writes it.
    pub name: String,
    /// Times executed.
    pub instructions: u64,
}

/// The mix, most frequent first.
pub fn mnemonics<'a>(executed: impl Iterator<Item = &'a Executed>) -> Vec<Mnemonic> {
    let mut sums = std::collections::HashMap::<&str, u64>::new();
    for e in executed {
        *sums.entry(e.text.split_whitespace().next().unwrap_or("unknown")).or_default() += e.times;
    }
    let mut mix: Vec<_> =
        sums.into_iter().map(|(name, instructions)| Mnemonic { name: name.to_owned(), instructions }).collect();
    mix.sort_by(|a, b| b.instructions.cmp(&a.instructions).then_with(|| a.name.cmp(&b.name)));
    mix
}

/// True for floating-point arithmetic, comparison and conversion of Arm and RISC-V. Moves, loads and stores of the
/// floating-point registers are not: kernels keep integers there.
pub fn is_float(mnemonic: &str) -> bool {
    let moves = ["vmov", "vldr", "vstr", "vldm", "vstm", "vpush", "vpop", "vldrw", "vldrh", "vmrs", "vmsr"];
    let typed = [".f16", ".f32", ".f64"].iter().any(|t| mnemonic.contains(t));
    let arm = typed && !moves.iter().any(|m| mnemonic.split('.').next() == Some(m));
    let riscv = mnemonic.starts_with('f')
        && [".s", ".d", ".h"].iter().any(|t| mnemonic.ends_with(t))
        && !mnemonic.starts_with("fence");
    arm || riscv
}

/// True for a function that computes floating point in software (Arm's run-time interface, compiler-rt, libm).
pub fn is_soft_float(function: &str) -> bool {
    let name = function.rsplit("::").next().unwrap_or(function);
    let aeabi = name.strip_prefix("__aeabi_").is_some_and(|n| {
        let float_first = (n.starts_with('f') || n.starts_with('d')) && !n.starts_with("div");
        float_first || ["i2f", "i2d", "ui2f", "ui2d", "l2f", "l2d", "ul2f", "ul2d"].contains(&n)
    });
    let compiler_rt = name.starts_with("__")
        && ["sf3", "df3", "sf2", "df2", "sisf", "sidf", "disf", "didf", "sfsi", "dfsi"]
            .iter()
            .any(|part| name.contains(part));
    aeabi || compiler_rt || function.contains("libm::") || function.contains("compiler_builtins::float")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn float_is_told_from_moves_and_integers() {
        for float in ["vadd.f32", "vmla.f64", "vcvt.s32.f32", "vfma.f16", "vcmp.f32", "fadd.s", "fcvt.w.s"] {
            assert!(is_float(float), "{float}");
        }
        for not in ["vmov", "vmov.f32", "vldr", "vpush", "vmladava.s8", "vadd.i32", "smlad", "fence", "fence.i", "add"]
        {
            assert!(!is_float(not), "{not}");
        }
        for float in ["__aeabi_fadd", "__aeabi_dmul", "__aeabi_i2f", "__mulsf3", "__floatsisf", "libm::math::sqrtf"] {
            assert!(is_soft_float(float), "{float}");
        }
        for not in
            ["__aeabi_memcpy", "__aeabi_uidiv", "__aeabi_uldivmod", "__muldi3", "ldae_device::engine::norm::rows"]
        {
            assert!(!is_soft_float(not), "{not}");
        }
    }

    #[test]
    fn the_mix_is_sorted_and_whole() {
        let e = |times, text: &str| Executed { times, text: text.to_owned() };
        let all = [e(3, "add r0, r1"), e(5, "ldr r0, [r1]"), e(4, "add r2, r3")];
        let mix = mnemonics(all.iter());
        assert_eq!(mix[0], Mnemonic { name: "add".to_owned(), instructions: 7 });
        assert_eq!(mix.iter().map(|m| m.instructions).sum::<u64>(), 12);
    }
}
