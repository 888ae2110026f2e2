//! Tells the crate which kernels this build has (src/kernels/target.rs).

use std::env;

include!("src/kernels/target.rs");

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/kernels/target.rs");
    for name in ["kernel_dsp", "kernel_mve", "kernel_two_lane", "kernel_thumb"] {
        println!("cargo:rustc-check-cfg=cfg({name})");
    }
    let target = env::var("TARGET").unwrap_or_default();
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    for kernel in kernel_cfgs(&target, &flags) {
        println!("cargo:rustc-cfg={kernel}");
    }
}
