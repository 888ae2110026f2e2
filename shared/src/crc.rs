//! CRC-32 (IEEE 802.3, reflected, polynomial 0xEDB88320): identity of taps and detection of accidents in artifacts.
//!
//! It protects against accidents only; identity against intent is the artifact's SHA-256 (docs/FORMAT.md).

/// Nibble table: 64 bytes of flash instead of 1 KiB, two steps a byte.
const TABLE: [u32; 16] = {
    let mut table = [0u32; 16];
    let mut i = 0;
    while i < 16 {
        let mut c = i as u32;
        let mut bit = 0;
        while bit < 4 {
            c = if c & 1 == 1 { (c >> 1) ^ 0xEDB8_8320 } else { c >> 1 };
            bit += 1;
        }
        table[i] = c;
        i += 1;
    }
    table
};

/// A running CRC-32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crc32(u32);

impl Default for Crc32 {
    fn default() -> Self {
        Self::new()
    }
}

impl Crc32 {
    /// The CRC of nothing so far.
    pub const fn new() -> Self {
        Crc32(!0)
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            let c = self.0 ^ u32::from(byte);
            let c = (c >> 4) ^ TABLE[(c & 15) as usize];
            self.0 = (c >> 4) ^ TABLE[(c & 15) as usize];
        }
    }

    /// The value so far.
    pub const fn finish(self) -> u32 {
        !self.0
    }
}

/// CRC-32 of one slice.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = Crc32::new();
    crc.update(bytes);
    crc.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_check_value() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926); // the CRC catalogue's check value for CRC-32/ISO-HDLC
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn pieces_equal_the_whole() {
        let mut crc = Crc32::new();
        crc.update(b"1234");
        crc.update(b"");
        crc.update(b"56789");
        assert_eq!(crc.finish(), crc32(b"123456789"));
    }
}
