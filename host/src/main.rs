//! The `ldae` program; everything is in [`ldae_host::cli`].

fn main() -> std::process::ExitCode {
    ldae_host::cli::main()
}
