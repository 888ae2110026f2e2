//! TEMPORARY stand-in for ldae_device: same API shape, arbitrary arithmetic.
use ldae_shared::crc::Crc32;
pub const VERSION: &str = "standin";
pub struct Spec { pub side: u32 }
impl Spec { pub fn pixels(&self) -> u32 { self.side * self.side * 3 } pub fn embedding(&self) -> u32 { 16 } }
pub struct Encoder<'a> { bytes: &'a [u8], spec: Spec }
#[derive(Debug, Clone, Copy)]
pub struct LoadError;
impl core::fmt::Display for LoadError { fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result { f.write_str("artifact too short") } }
pub type EmbedError = LoadError;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapId(usize);
impl TapId { pub fn index(&self) -> usize { self.0 } pub fn count(_depth: u16) -> usize { 5 } }
impl core::fmt::Display for TapId { fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result { write!(f, "tap {}", self.0) } }
pub trait Tap { fn tap(&mut self, id: TapId, bytes: &[u8]); }
pub struct Embedding<'a> { pub codes: &'a [i8], pub norm2: u32 }
impl<'a> Encoder<'a> {
    pub fn new(bytes: &'a [u8]) -> Result<Self, LoadError> {
        if bytes.len() < 64 { return Err(LoadError); }
        Ok(Encoder { bytes, spec: Spec { side: bytes[0] as u32 } })
    }
    pub fn spec(&self) -> &Spec { &self.spec }
    pub fn scratch_bytes(&self) -> usize { 64 }
    pub fn taps(&self) -> usize { TapId::count(4) }
    pub fn embed_tapped<'o>(&self, pixels: &[u8], scratch: &mut [u8], out: &'o mut [i8], taps: &mut impl Tap) -> Result<Embedding<'o>, EmbedError> {
        for piece in pixels.chunks(64) { taps.tap(TapId(0), piece); }
        let mut h: u32 = 7;
        for layer in 1..5 {
            for (i, s) in scratch.iter_mut().enumerate() {
                for p in pixels { h = h.wrapping_mul(0x0100_0193) ^ *p as u32 ^ self.bytes[(layer * 15 + i) % 64] as u32; }
                *s = (h >> 13) as u8;
            }
            taps.tap(TapId(layer), scratch);
        }
        let mut norm2 = 0;
        for (o, s) in out.iter_mut().zip(scratch.iter()) { *o = *s as i8; norm2 += (*o as i32 * *o as i32) as u32; }
        Ok(Embedding { codes: out, norm2 })
    }
}
#[allow(unused)]
fn unused(_: Crc32) {}
