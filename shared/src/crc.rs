//! crc (stand-in of branch verify; the real one replaces it)
/// CRC-32 (IEEE, reflected).
#[derive(Clone, Copy, Debug)]
pub struct Crc32(u32);
const TABLE: [u32; 256] = {
    let mut t = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut c = i as u32;
        let mut k = 0;
        while k < 8 {
            c = if c & 1 == 1 { 0xEDB8_8320 ^ (c >> 1) } else { c >> 1 };
            k += 1;
        }
        t[i] = c;
        i += 1;
    }
    t
};
impl Crc32 {
    /// new
    pub const fn new() -> Self {
        Crc32(!0)
    }
    /// update
    pub fn update(&mut self, bytes: &[u8]) {
        for b in bytes {
            self.0 = TABLE[((self.0 ^ *b as u32) & 255) as usize] ^ (self.0 >> 8);
        }
    }
    /// finish
    pub const fn finish(&self) -> u32 {
        !self.0
    }
}
impl Default for Crc32 {
    fn default() -> Self {
        Self::new()
    }
}
/// crc
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut c = Crc32::new();
    c.update(bytes);
    c.finish()
}
