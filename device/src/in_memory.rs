//! An artifact in a host's memory, where and as the engine of this process wants it (feature `alloc`).

use crate::kernels::Choice;
use alloc::vec;
use alloc::vec::Vec;
use ldae_shared::format::{Layout, pack};

/// Weight layout of this machine's fastest kernels.
pub fn host_layout() -> Layout {
    // The portable kernel is no reason to pack: `best` does not count it for packed layouts.
    Layout::ALL.into_iter().rev().find(|layout| Choice::best(*layout).is_some()).unwrap_or(Layout::Canonical)
}

/// Artifact bytes at a multiple of 16, as packed artifacts must lie.
#[derive(Clone, Debug)]
pub struct InMemory {
    words: Vec<u128>,
    length: usize,
}

impl InMemory {
    /// The bytes as they are.
    pub fn copy(artifact: &[u8]) -> Self {
        let mut words = vec![0u128; artifact.len().div_ceil(size_of::<u128>())];
        bytemuck::cast_slice_mut::<_, u8>(&mut words)[..artifact.len()].copy_from_slice(artifact);
        InMemory { words, length: artifact.len() }
    }

    /// Packed for this machine's fastest kernels. What cannot be packed (damaged or packed already) is kept as it is:
    /// the loader says what it thinks of that.
    pub fn for_this_machine(artifact: &[u8]) -> Self {
        match pack(artifact, host_layout()) {
            Ok(packed) => Self::copy(&packed),
            Err(_) => Self::copy(artifact),
        }
    }

    /// The artifact.
    pub fn bytes(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.words)[..self.length]
    }
}
