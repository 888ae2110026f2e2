//! Plain, gzip or xz (any filter chain, the delta filter included), told apart by their first bytes.
//!
//! Refused: truncated or damaged streams, output beyond the caller's limit, xz dictionaries above 1 GiB.

use crate::{Error, Result, error::Context};
use std::fs::File;
use std::io::{BufReader, Cursor, ErrorKind, Read};
use std::path::Path;

const GZIP: &[u8] = &[0x1f, 0x8b];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
/// `xz -9` uses 64 MiB; the decoder allocates what the header asks for, up to 4 GiB.
const MAX_XZ_DICTIONARY: u64 = 1 << 30;

/// A reader of the decompressed bytes of a file.
///
/// # Errors
/// The file cannot be opened or its header is refused.
pub fn open(path: &Path) -> Result<Box<dyn Read + Send>> {
    let file = File::open(path).context(|| format!("cannot open {}", path.display()))?;
    let reader = BufReader::with_capacity(1 << 16, file);
    decoder(reader).context(|| format!("cannot read {}", path.display()))
}

/// Wraps `reader` in the decoder its first bytes ask for.
///
/// # Errors
/// Reading fails, or an xz header asks for an absurd dictionary.
pub fn decoder<'a>(mut reader: impl Read + Send + 'a) -> std::io::Result<Box<dyn Read + Send + 'a>> {
    // An xz stream header has 12 bytes, a block header at most 1024.
    let mut head = Vec::new();
    reader.by_ref().take(12 + 1024).read_to_end(&mut head)?;
    let xz = head.starts_with(XZ);
    let gzip = head.starts_with(GZIP);
    if xz {
        check_dictionary(&head)?;
    }
    let whole = Cursor::new(head).chain(reader);
    Ok(if xz {
        Box::new(lzma_rust2::XzReader::new(whole, true))
    } else if gzip {
        Box::new(flate2::read::MultiGzDecoder::new(whole))
    } else {
        Box::new(whole)
    })
}

/// All decompressed bytes of a file, at most `limit` of them.
///
/// # Errors
/// The file cannot be read, is damaged or truncated, or holds more than `limit` bytes.
pub fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    read_all(open(path)?, limit).map_err(|cause| {
        Error::new(format!("cannot read {}", path.display())).caused_by(cause).hint(
            "the file is damaged or was copied only in part: compare its size or checksum with the original's, or fetch it again",
        )
    })
}

/// Decompresses `bytes` if they are gzip or xz, else returns them; at most `limit` bytes come out.
///
/// # Errors
/// The stream is damaged or truncated, or more than `limit` bytes come out.
pub fn expand(bytes: &[u8], limit: u64) -> std::io::Result<Vec<u8>> {
    read_all(decoder(bytes)?, limit)
}

fn read_all(reader: impl Read, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new(); // grows with what really arrives, never with what a header claims
    reader.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(std::io::Error::new(ErrorKind::InvalidData, format!("more than {limit} bytes come out of it")));
    }
    Ok(bytes)
}

/// Refuses a first xz block whose LZMA2 filter asks for more than [`MAX_XZ_DICTIONARY`].
fn check_dictionary(head: &[u8]) -> std::io::Result<()> {
    // Block header: size / 4 - 1, flags (low two bits: filters - 1; 0x40, 0x80: two optional sizes), then the filters
    // as (id, properties' length, properties); the xz file format, section 3.1. Anything odd is left to the decoder.
    let Some(block) = head.get(12..) else { return Ok(()) };
    let [size, flags, ..] = block else { return Ok(()) };
    let end = (usize::from(*size) + 1) * 4;
    let mut at = 2;
    let varint = |at: &mut usize| {
        let mut value = 0u64;
        for shift in (0..63).step_by(7) {
            let byte = *block.get(*at)?;
            *at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    };
    for flag in [0x40, 0x80] {
        if flags & flag != 0 && varint(&mut at).is_none() {
            return Ok(());
        }
    }
    for _ in 0..=(flags & 3) {
        let (Some(id), Some(properties)) = (varint(&mut at), varint(&mut at)) else { return Ok(()) };
        if id == 0x21 {
            let bits = u64::from(block.get(at).copied().unwrap_or(0)).min(40);
            let dictionary = (2 | (bits & 1)) << (bits / 2 + 11);
            if dictionary > MAX_XZ_DICTIONARY {
                let what = format!("its xz header asks for a dictionary of {} MiB", dictionary >> 20);
                return Err(std::io::Error::new(ErrorKind::InvalidData, what));
            }
        }
        at = at.saturating_add(usize::try_from(properties).unwrap_or(usize::MAX));
        if at >= end {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write;

    /// 600 bytes `7 i + 3 (i / 32) mod 256`, compressed by liblzma with a delta filter (distance 32) before LZMA2.
    const DELTA_XZ: &str = "fd377a585a000004e6d6b446020103011f210100e1d26a12e00257002d5d0000020f570268c678ced80f90e6ebb6dd\
        1f7062b0212714f9b1958a5860217a2cace7779c04a3ed8bbca234870000000000e788b50807b6151e000149d804000000b62ce5ddb1c467fb\
        020000000004595a";

    pub(crate) fn delta_xz() -> (Vec<u8>, Vec<u8>) {
        let packed = (0..DELTA_XZ.len()).step_by(2).map(|i| u8::from_str_radix(&DELTA_XZ[i..i + 2], 16).unwrap());
        (packed.collect(), (0..600).map(|i| (i * 7 + i / 32 * 3) as u8).collect())
    }

    pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_and_gzip_come_out_whole() {
        let text = b"some bytes ".repeat(1000);
        assert_eq!(expand(&text, 1 << 20).unwrap(), text);
        assert_eq!(expand(&gzip(&text), 1 << 20).unwrap(), text);
    }

    #[test]
    fn xz_with_a_delta_filter_comes_out_whole() {
        let (packed, plain) = delta_xz();
        assert_eq!(expand(&packed, 1 << 20).unwrap(), plain);
        for cut in 6..packed.len() {
            assert!(expand(&packed[..cut], 1 << 20).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn a_huge_xz_dictionary_is_refused() {
        let (mut packed, _) = delta_xz();
        let property = 12 + 7; // after size, flags, delta id, length, distance, LZMA2 id, length
        assert_eq!(&packed[property - 2..=property], [0x21, 1, 0]);
        packed[property] = 39;
        assert!(expand(&packed, 1 << 20).unwrap_err().to_string().contains("dictionary of 3072 MiB"));
    }

    #[test]
    fn truncated_gzip_is_an_error() {
        let packed = gzip(&b"some bytes ".repeat(1000));
        for cut in [3, packed.len() / 2, packed.len() - 1] {
            assert!(expand(&packed[..cut], 1 << 20).is_err(), "cut at {cut}");
        }
    }

    #[test]
    fn output_is_bounded() {
        let bomb = gzip(&vec![0; 1 << 20]);
        assert!(bomb.len() < 1 << 14);
        let error = expand(&bomb, 1000).unwrap_err().to_string();
        assert!(error.contains("more than 1000 bytes"), "{error}");
    }

    proptest! {
        #[test]
        fn garbage_never_panics(kind in 0..3, tail in prop::collection::vec(any::<u8>(), 0..400)) {
            let magic: &[u8] = [GZIP, XZ, &[]][kind as usize];
            let _ = expand(&[magic, &tail].concat(), 1 << 16);
        }
    }
}
