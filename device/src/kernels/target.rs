// Which kernels a bare-metal build has. Stable Rust shows no Arm target feature to `cfg`, so the target triple decides, and for
// Helium (which has no triple of its own) the processor named by `-C target-cpu`. Included by build.rs too.

/// The `cfg`s of the kernels of a target; `flags` are the compiler's (CARGO_ENCODED_RUSTFLAGS of a build script).
#[must_use]
pub fn kernel_cfgs(target: &str, flags: &str) -> &'static [&'static str] {
    match target.split('-').next().unwrap_or_default() {
        "thumbv8m.main" if flags.contains("cortex-m55") || flags.contains("cortex-m85") => &["kernel_mve"],
        "thumbv7em" | "thumbv8m.main" => &["kernel_dsp"],
        "thumbv7m" => &["kernel_two_lane"],
        // With the instructions of Armv6-M only.
        "thumbv6m" | "thumbv8m.base" => &["kernel_two_lane", "kernel_thumb"],
        arch if arch.starts_with("riscv32im") || arch.starts_with("riscv32g") => &["kernel_two_lane"],
        _ => &[],
    }
}
