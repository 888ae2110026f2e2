//! Builds the instruction counter, a plugin of QEMU, from tools/insn-counter.

use crate::verify::firmware;
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Environment variable with the path of a finished plugin.
pub const COUNTER_VARIABLE: &str = "LDAE_COUNTER";

/// The plugin, built if need be (it has no dependencies and takes a second).
///
/// # Errors
/// Its sources are not beside the firmware's, or the build fails.
pub fn plugin(place: Option<&Path>) -> Result<PathBuf> {
    if let Some(finished) = std::env::var_os(COUNTER_VARIABLE) {
        return Ok(PathBuf::from(finished));
    }
    let place = firmware::folder(place)?;
    let source = place.parent().unwrap_or(&place).join("tools").join("insn-counter");
    if !source.join("Cargo.toml").is_file() {
        return Err(Error::new(format!("the instruction counter is not at {}", source.display()))
            .hint(format!("build tools/insn-counter and give the library's path in {COUNTER_VARIABLE}")));
    }
    let output = firmware::target_folder(&place, "tools", "insn-counter")?;
    firmware::run_cargo(firmware::cargo(&source, &output), &source)?;
    let name = format!("{}ldae_insn_counter{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    Ok(output.join("release").join(name))
}
