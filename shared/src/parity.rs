//! The two byte streams of a parity check: the request a device reads and the answer it writes.
//!
//! Both are little-endian and plain, so that a file, a semihosting channel or a serial port carries them alike.
//!
//! Request: [`Request::BYTES`] bytes of header, then `pictures` times `picture_bytes` bytes of u8 pixels (HWC).
//!
//! Answer: [`ANSWER_MAGIC`], then records of a four-byte tag, a u32 payload length and the payload:
//!
//! | tag  | payload |
//! |------|---------|
//! | IDEN | artifact length u32, CRC-32 of the artifact as the device reads it u32, then two texts (u8 length, UTF-8): core, version of the engine |
//! | PLAN | taps T u32, components E u32, scratch bytes u32, one text: kernel; written once the artifact was accepted |
//! | PICT | index u32, CRC-32 of the pixels u32, squared norm u32, E codes i8, T CRC-32 u32 |
//! | TAPB | a piece of the one tap whose bytes the request asked for |
//! | USED | scratch touched, up to its last byte u32, stack in bytes u32: what `ldae bench` measures by painting |
//! | FAIL | UTF-8 text: why the device stopped |
//! | DONE | CRC-32 of every byte before this record u32 |
//!
//! An answer without DONE is incomplete: the device crashed, was stopped, or the line broke.

use crate::crc::Crc32;

/// First eight bytes of an answer.
pub const ANSWER_MAGIC: [u8; 8] = *b"LDAEANS1";
/// First eight bytes of a request.
pub const REQUEST_MAGIC: [u8; 8] = *b"LDAEREQ1";
/// Longest text in an IDEN or FAIL record in bytes; longer ones are cut.
pub const MAX_TEXT: usize = 255;

/// Record tags.
pub mod tag {
    /// Identities of the device.
    pub const IDENTITY: [u8; 4] = *b"IDEN";
    /// Sizes of one inference.
    pub const PLAN: [u8; 4] = *b"PLAN";
    /// Results of one picture.
    pub const PICTURE: [u8; 4] = *b"PICT";
    /// Bytes of one tap.
    pub const TAP_BYTES: [u8; 4] = *b"TAPB";
    /// Memory that was really used.
    pub const MEMORY_USE: [u8; 4] = *b"USED";
    /// Why the device stopped.
    pub const FAILURE: [u8; 4] = *b"FAIL";
    /// The end, with the checksum.
    pub const DONE: [u8; 4] = *b"DONE";
}

/// One tap of one picture, asked for byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TapWanted {
    /// Index of the picture in the request.
    pub picture: u32,
    /// Dense index of the tap.
    pub tap: u32,
}

/// Header of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Length of the artifact in bytes; the artifact itself reaches the device by another way (flash, loader).
    pub artifact_bytes: u32,
    /// Pictures that follow.
    pub pictures: u32,
    /// Bytes of each picture: image·image·C of the artifact's spec.
    pub picture_bytes: u32,
    /// The tap whose bytes the answer should hold, if any.
    pub wanted: Option<TapWanted>,
}

/// Why a request header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotARequest;

impl core::fmt::Display for NotARequest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("no parity request of version 1")
    }
}

impl core::error::Error for NotARequest {}

const NOTHING: u32 = u32::MAX;

impl Request {
    /// Length of the header in bytes.
    pub const BYTES: usize = 28;

    /// The header as bytes.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let wanted = self.wanted.unwrap_or(TapWanted { picture: NOTHING, tap: NOTHING });
        let words = [self.artifact_bytes, self.pictures, self.picture_bytes, wanted.picture, wanted.tap];
        let mut bytes = [0; Self::BYTES];
        let (magic, rest) = bytes.split_at_mut(REQUEST_MAGIC.len());
        magic.copy_from_slice(&REQUEST_MAGIC);
        for (out, word) in rest.chunks_exact_mut(4).zip(words) {
            out.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// Reads a header.
    ///
    /// # Errors
    /// The magic is another one.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Result<Self, NotARequest> {
        if bytes[..8] != REQUEST_MAGIC {
            return Err(NotARequest);
        }
        let word = |i: usize| u32::from_le_bytes([bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]]);
        let wanted = TapWanted { picture: word(20), tap: word(24) };
        let wanted = (wanted.picture != NOTHING).then_some(wanted);
        Ok(Request { artifact_bytes: word(8), pictures: word(12), picture_bytes: word(16), wanted })
    }
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// Length of the artifact in bytes.
    pub artifact_bytes: u32,
    /// CRC-32 over all its bytes as the device reads them.
    pub artifact_crc: u32,
    /// The processor core as it names itself.
    pub core: &'a str,
    /// Version of the engine in the firmware.
    pub version: &'a str,
}

/// Sizes of one inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan<'a> {
    /// Taps T of one inference.
    pub taps: u32,
    /// Components E of the embedding.
    pub components: u32,
    /// Scratch given to the engine, in bytes.
    pub scratch_bytes: u32,
    /// Kernel in use.
    pub kernel: &'a str,
}

/// Memory that an inference really used, found by painting it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryUse {
    /// Bytes of scratch up to the last one that was written.
    pub scratch_touched: u32,
    /// Bytes of stack below the caller.
    pub stack: u32,
}

/// Where an answer goes.
pub trait Sink {
    /// Why bytes could not be written.
    type Error;
    /// Writes all of `bytes`.
    ///
    /// # Errors
    /// The channel refused them.
    fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error>;
}

/// Writes an answer, record by record.
pub struct AnswerWriter<S> {
    sink: S,
    crc: Crc32,
}

impl<S: Sink> AnswerWriter<S> {
    /// Starts an answer.
    ///
    /// # Errors
    /// The sink's.
    pub fn start(sink: S) -> Result<Self, S::Error> {
        let mut writer = AnswerWriter { sink, crc: Crc32::new() };
        writer.put(&ANSWER_MAGIC)?;
        Ok(writer)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), S::Error> {
        self.crc.update(bytes);
        self.sink.write(bytes)
    }

    fn head(&mut self, tag: [u8; 4], length: usize) -> Result<(), S::Error> {
        let mut head = [0; 8];
        head[..4].copy_from_slice(&tag);
        head[4..].copy_from_slice(&(length as u32).to_le_bytes());
        self.put(&head)
    }

    fn words<const N: usize>(&mut self, words: [u32; N]) -> Result<(), S::Error> {
        words.iter().try_for_each(|w| self.put(&w.to_le_bytes()))
    }

    fn text(&mut self, text: &[u8]) -> Result<(), S::Error> {
        self.put(&[text.len() as u8])?; // at most MAX_TEXT: see `cut`
        self.put(text)
    }

    /// Writes the identities.
    ///
    /// # Errors
    /// The sink's.
    pub fn identity(&mut self, identity: &Identity<'_>) -> Result<(), S::Error> {
        let (core, version) = (cut(identity.core), cut(identity.version));
        self.head(tag::IDENTITY, 10 + core.len() + version.len())?;
        self.words([identity.artifact_bytes, identity.artifact_crc])?;
        self.text(core)?;
        self.text(version)
    }

    /// Writes the sizes of one inference.
    ///
    /// # Errors
    /// The sink's.
    pub fn plan(&mut self, plan: &Plan<'_>) -> Result<(), S::Error> {
        let kernel = cut(plan.kernel);
        self.head(tag::PLAN, 13 + kernel.len())?;
        self.words([plan.taps, plan.components, plan.scratch_bytes])?;
        self.text(kernel)
    }

    /// Writes the results of one picture.
    ///
    /// # Errors
    /// The sink's.
    pub fn picture(
        &mut self,
        index: u32,
        input_crc: u32,
        norm2: u32,
        codes: &[i8],
        taps: &[Crc32],
    ) -> Result<(), S::Error> {
        self.head(tag::PICTURE, 12 + codes.len() + 4 * taps.len())?;
        self.words([index, input_crc, norm2])?;
        // Through a small buffer: one call of the sink for each 64 values.
        let mut buffer = [0u8; 256];
        for piece in codes.chunks(buffer.len()) {
            for (out, code) in buffer.iter_mut().zip(piece) {
                *out = code.to_le_bytes()[0];
            }
            self.put(&buffer[..piece.len()])?;
        }
        for piece in taps.chunks(buffer.len() / 4) {
            for (out, crc) in buffer.chunks_exact_mut(4).zip(piece) {
                out.copy_from_slice(&crc.finish().to_le_bytes());
            }
            self.put(&buffer[..4 * piece.len()])?;
        }
        Ok(())
    }

    /// Writes one piece of the tap that was asked for.
    ///
    /// # Errors
    /// The sink's.
    pub fn tap_bytes(&mut self, piece: &[u8]) -> Result<(), S::Error> {
        self.head(tag::TAP_BYTES, piece.len())?;
        self.put(piece)
    }

    /// Writes what memory was used.
    ///
    /// # Errors
    /// The sink's.
    pub fn memory_use(&mut self, used: &MemoryUse) -> Result<(), S::Error> {
        self.head(tag::MEMORY_USE, 8)?;
        self.words([used.scratch_touched, used.stack])
    }

    /// Says why the device stops; the answer still ends with [`AnswerWriter::finish`].
    ///
    /// # Errors
    /// The sink's.
    pub fn failure(&mut self, why: &str) -> Result<(), S::Error> {
        let why = cut(why);
        self.head(tag::FAILURE, why.len())?;
        self.put(why)
    }

    /// Ends the answer and gives the sink back.
    ///
    /// # Errors
    /// The sink's.
    pub fn finish(mut self) -> Result<S, S::Error> {
        let crc = self.crc.finish();
        self.head(tag::DONE, 4)?;
        self.words([crc])?;
        Ok(self.sink)
    }
}

/// The first [`MAX_TEXT`] bytes of a text, cut between characters.
fn cut(text: &str) -> &[u8] {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text.as_bytes()[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{string::String, vec::Vec};

    struct Bytes(Vec<u8>);
    impl Sink for Bytes {
        type Error = core::convert::Infallible;
        fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }
    }

    #[test]
    fn a_request_survives_its_bytes() {
        for wanted in [None, Some(TapWanted { picture: 3, tap: 0 })] {
            let request = Request { artifact_bytes: 70_000, pictures: 4, picture_bytes: 3072, wanted };
            assert_eq!(Request::from_bytes(&request.to_bytes()), Ok(request));
        }
        assert_eq!(Request::from_bytes(&[0; Request::BYTES]), Err(NotARequest));
    }

    #[test]
    fn the_checksum_covers_everything_before_the_last_record() {
        let mut writer = AnswerWriter::start(Bytes(Vec::new())).unwrap();
        writer.identity(&Identity { artifact_bytes: 9, artifact_crc: 8, core: "cortex-m4", version: "0" }).unwrap();
        writer.plan(&Plan { taps: 70, components: 300, scratch_bytes: 5, kernel: "" }).unwrap();
        writer.picture(0, 1, 2, &[-3; 300], &[Crc32::new(); 70]).unwrap();
        let bytes = writer.finish().unwrap().0;
        let body = bytes.len() - 12;
        assert_eq!(body, 8 + (8 + 8 + 10 + 2) + (8 + 12 + 1) + (8 + 12 + 300 + 280));
        assert_eq!(bytes[body..body + 4], tag::DONE);
        assert_eq!(bytes[body + 8..], crate::crc::crc32(&bytes[..body]).to_le_bytes());
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let long: String = "a".chars().chain("ä".chars().cycle().take(200)).collect();
        assert_eq!(cut(&long).len(), MAX_TEXT);
        let long: String = "ä".chars().cycle().take(200).collect();
        assert_eq!(cut(&long).len(), MAX_TEXT - 1);
    }
}
