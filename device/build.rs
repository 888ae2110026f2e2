//! Chooses the kernels of a bare-metal build. Stable Rust shows no Arm target feature to `cfg`, so the target triple
//! decides, and for Helium (which has no triple of its own) the processor named by `-C target-cpu`.

use std::env;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for name in ["kernel_dsp", "kernel_mve", "kernel_two_lane", "kernel_thumb", "kernel_neon"] {
        println!("cargo:rustc-check-cfg=cfg({name})");
    }
    let target = env::var("TARGET").unwrap_or_default();
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let kernels: &[&str] = match target.split('-').next().unwrap_or_default() {
        "thumbv8m.main" if flags.contains("cortex-m55") || flags.contains("cortex-m85") => &["kernel_mve"],
        "thumbv7em" | "thumbv8m.main" => &["kernel_dsp"],
        "thumbv7m" => &["kernel_two_lane"],
        // With the instructions of Armv6-M only.
        "thumbv6m" | "thumbv8m.base" => &["kernel_two_lane", "kernel_thumb"],
        arch if arch.starts_with("riscv32im") || arch.starts_with("riscv32g") => &["kernel_two_lane"],
        "aarch64" if env::var("CARGO_CFG_TARGET_FEATURE").is_ok_and(|f| f.split(',').any(|f| f == "neon")) => {
            &["kernel_neon"]
        }
        _ => &[],
    };
    for kernel in kernels {
        println!("cargo:rustc-cfg={kernel}");
    }
}
