//! Flash images: an artifact in the weight order that one core's kernel reads (`ldae pack`).

use crate::{Error, Result};
use ldae_device::kernels::Family;
pub use ldae_device::{InMemory, host_layout};
use ldae_shared::format::{Artifact, Layout, PackError};
use serde::Serialize;

/// A core and its kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Name, as `--target` takes it.
    pub core: &'static str,
    /// Kernels of the device crate when built for it.
    pub family: Family,
}

const fn target(core: &'static str, family: Family) -> Target {
    Target { core, family }
}

/// Every core with kernels of its own; others run the canonical artifact.
pub static TARGETS: [Target; 13] = [
    target("cortex-m0", Family::TwoLane),
    target("cortex-m0+", Family::TwoLane),
    target("cortex-m3", Family::TwoLane),
    target("cortex-m4", Family::Dsp),
    target("cortex-m7", Family::Dsp),
    target("cortex-m33", Family::Dsp),
    target("cortex-m55", Family::Mve),
    target("cortex-m85", Family::Mve),
    target("rv32imac", Family::TwoLane),
    target("rv32imc", Family::TwoLane),
    target("x86-64", Family::Dot),
    target("aarch64", Family::Dot),
    target("canonical", Family::Portable),
];

/// Families whose kernels exist; the others' cores run the canonical artifact.
pub static WITH_KERNELS: &[Family] = &[Family::Portable, Family::Dsp, Family::Mve, Family::TwoLane, Family::Dot];

/// Kernels of a core that has its own.
pub fn family(core: &str) -> Option<Family> {
    TARGETS.iter().find(|t| t.core == core).map(|t| t.family)
}

/// What `pack` did.
#[derive(Clone, Debug, Serialize)]
pub struct Packed {
    /// Core.
    pub target: String,
    /// Weight layout.
    pub layout: &'static str,
    /// Bytes of the canonical artifact.
    pub canonical_bytes: usize,
    /// Bytes of the image.
    pub bytes: usize,
    /// Scratch RAM of one inference with the core's kernels, bytes.
    pub scratch_bytes: usize,
}

/// Packs an artifact for a core.
///
/// # Errors
/// No such core; the artifact is refused or packed already.
pub fn pack(artifact: &[u8], core: &str) -> Result<(Vec<u8>, Packed)> {
    let family = family(core).ok_or_else(|| {
        let names = TARGETS.map(|t| t.core).join(", ");
        Error::new(format!("no kernels for the core {core:?}")).hint(format!("cores are {names}"))
    })?;
    let bytes = to_layout(artifact, family.layout())?;
    let spec = *Artifact::parse_anywhere(&bytes).map_err(|e| Error::new("packing failed").caused_by(e))?.spec();
    let facts = Packed {
        target: core.to_owned(),
        layout: family.layout().name(),
        canonical_bytes: artifact.len(),
        bytes: bytes.len(),
        scratch_bytes: ldae_device::scratch_bytes_of(&spec, family),
    };
    Ok((bytes, facts))
}

/// An artifact in another weight layout.
///
/// # Errors
/// The artifact is refused or packed already.
pub fn to_layout(artifact: &[u8], layout: Layout) -> Result<Vec<u8>> {
    ldae_shared::format::pack(artifact, layout).map_err(|e| match e {
        PackError::Packed(_) => Error::new(e.to_string()).hint("give the file that `ldae export` wrote"),
        PackError::Source(_) => {
            Error::new(format!("the artifact is not valid: {e}")).hint("export it again, or give an intact copy")
        }
        PackError::Write(_) => Error::new(format!("the artifact cannot be packed: {e}")).hint("please report this"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ldae_shared::format::{ArtifactDesc, Fill};
    use ldae_shared::spec::PRESETS;

    #[test]
    fn packs_for_every_target_and_names_them_when_asked_for_another() {
        let bytes = ArtifactDesc::synthetic(PRESETS[0].spec, Fill::Random, 1).write(|_| [3; 32]).unwrap();
        for target in TARGETS {
            let (packed, facts) = pack(&bytes, target.core).unwrap();
            assert_eq!((facts.bytes, facts.canonical_bytes), (packed.len(), bytes.len()));
            assert_eq!(facts.layout, target.family.layout().name());
        }
        let error = pack(&bytes, "z80").unwrap_err();
        assert!(error.advice().unwrap().contains("cortex-m7"));
        let memory = InMemory::for_this_machine(&bytes);
        assert_eq!(memory.bytes(), to_layout(&bytes, host_layout()).unwrap());
        let (packed, _) = pack(&bytes, "cortex-m4").unwrap();
        assert!(pack(&packed, "cortex-m7").unwrap_err().to_string().contains("already packed"));
    }
}
