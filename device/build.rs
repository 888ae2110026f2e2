//! Chooses the kernels of a build by its target.

use std::env;

include!("src/kernels/target.rs");

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/kernels/target.rs");
    for name in ["kernel_dsp", "kernel_mve", "kernel_two_lane", "kernel_thumb", "kernel_neon"] {
        println!("cargo:rustc-check-cfg=cfg({name})");
    }
    let variable = |name| env::var(name).unwrap_or_default();
    for kernel in kernel_cfgs(&variable("TARGET"), &variable("CARGO_ENCODED_RUSTFLAGS")) {
        println!("cargo:rustc-cfg={kernel}");
    }
    // 64-bit Arm has Advanced SIMD unless the target is a soft-float one. Artifacts are little-endian in memory.
    let neon = variable("CARGO_CFG_TARGET_FEATURE").split(',').any(|feature| feature == "neon");
    let little = variable("CARGO_CFG_TARGET_ENDIAN") == "little";
    if variable("CARGO_CFG_TARGET_ARCH") == "aarch64" && neon && little {
        println!("cargo:rustc-cfg=kernel_neon");
    }
}
