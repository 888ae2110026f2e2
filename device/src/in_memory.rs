//! An artifact and scratch in a host's memory, where and as the engine of this process wants them (feature `alloc`).

use crate::kernels::Choice;
use alloc::vec;
use alloc::vec::Vec;
use ldae_shared::format::{Layout, pack};

/// Multiple that scratch and packed artifacts start at.
const ALIGNMENT: usize = 16;

/// Weight layout of this machine's fastest kernels.
pub fn host_layout() -> Layout {
    // The portable kernel is no reason to pack: `best` does not count it for packed layouts.
    Layout::ALL.into_iter().rev().find(|layout| Choice::best(*layout).is_some()).unwrap_or(Layout::Canonical)
}

/// Bytes at a multiple of 16. A `Vec<u128>` is not that everywhere: 32-bit Arm aligns it to 8.
#[derive(Debug)]
pub struct AlignedBytes {
    memory: Vec<u8>,
    start: usize,
}

impl AlignedBytes {
    /// Zeros.
    pub fn zeroed(length: usize) -> Self {
        let mut memory = vec![0; length + ALIGNMENT - 1];
        // The heap's place does not change when the vector is moved.
        let start = memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT - 1);
        memory.truncate(start + length);
        AlignedBytes { memory, start }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.start..]
    }

    /// The bytes.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..]
    }
}

/// Artifact bytes at a multiple of 16, as packed artifacts must lie.
#[derive(Debug)]
pub struct InMemory(AlignedBytes);

impl InMemory {
    /// The bytes as they are.
    pub fn copy(artifact: &[u8]) -> Self {
        let mut bytes = AlignedBytes::zeroed(artifact.len());
        bytes.bytes_mut().copy_from_slice(artifact);
        InMemory(bytes)
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
        self.0.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_aligned_wherever_it_is_moved() {
        let all: Vec<AlignedBytes> = (0..100).map(AlignedBytes::zeroed).collect();
        for (length, bytes) in all.iter().enumerate() {
            assert_eq!(bytes.bytes().len(), length);
            assert_eq!(bytes.bytes().as_ptr().align_offset(ALIGNMENT), 0);
        }
    }
}
