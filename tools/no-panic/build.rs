//! The programs have no startup code; the linker wants to know where they begin and keeps only what is reachable from there.
fn main() {
    println!("cargo:rustc-link-arg-bins=--entry=_start");
    println!("cargo:rustc-link-arg-bins=--gc-sections");
}
