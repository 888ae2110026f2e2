//! Arbitrary bytes to the artifact validator, with length and CRC repaired so that the deeper checks are reached.
#![no_main]

use ldae_shared::format::{Artifact, reseal};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = Artifact::parse(data);
    let mut bytes = data.to_vec();
    if bytes.len() >= 64 {
        let length = bytes.len() as u32;
        bytes[..8].copy_from_slice(b"LDAE\x01\0\0\0");
        bytes[8..12].copy_from_slice(&length.to_le_bytes());
        bytes[16..18].copy_from_slice(&[1, 0]);
        bytes[18] %= 6; // the five weight layouts and one that is none
        bytes[19] = 0;
        bytes[22..32].fill(0);
        reseal(&mut bytes);
        let _ = Artifact::parse_anywhere(&bytes);
    }
});
