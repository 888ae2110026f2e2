//! Reads the answer of a device (`ldae_shared::parity`). The bytes come from outside: anything may be in them.

use ldae_shared::crc::crc32;
use ldae_shared::parity::{ANSWER_MAGIC, MemoryUse, tag};

/// Results of one picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureResult {
    /// CRC-32 of the pixels as the device read them.
    pub input_crc: u32,
    /// Squared norm of the codes.
    pub norm2: u32,
    /// Embedding, E codes.
    pub codes: Vec<i8>,
    /// CRC-32 of each tap.
    pub taps: Vec<u32>,
}

/// What the device says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Length of its artifact in bytes.
    pub artifact_bytes: u32,
    /// CRC-32 of its artifact.
    pub artifact_crc: u32,
    /// Its core.
    pub core: String,
    /// Its engine's version.
    pub version: String,
}

/// Sizes of one inference on the device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Taps T.
    pub taps: u32,
    /// Components E.
    pub components: u32,
    /// Scratch in bytes.
    pub scratch_bytes: u32,
    /// Kernel in use.
    pub kernel: String,
}

/// A whole or broken answer. `finished` tells which.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Who answered; missing when the device stopped before.
    pub identity: Option<Identity>,
    /// Missing when the device refused the artifact.
    pub plan: Option<Plan>,
    /// In order of the request, from index 0 without gaps.
    pub pictures: Vec<PictureResult>,
    /// Bytes of the one tap that was asked for.
    pub tap_bytes: Vec<u8>,
    /// Memory that was really used (`ldae bench` only).
    pub memory_use: Option<MemoryUse>,
    /// Why the device stopped, in its own words.
    pub failure: Option<String>,
    /// True when the last record arrived and its checksum holds.
    pub finished: bool,
}

/// Why bytes are no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The first bytes are something else.
    #[error("no parity answer of version 1")]
    Magic,
    /// A record contradicts itself or its place.
    #[error("record {tag} at byte {offset} is malformed", tag = String::from_utf8_lossy(.tag).escape_default())]
    Record {
        /// Its tag.
        tag: [u8; 4],
        /// Where it starts.
        offset: usize,
    },
    /// The checksum of the last record does not hold.
    #[error("checksum is {got:08x}, the bytes give {want:08x}")]
    Checksum {
        /// In the answer.
        got: u32,
        /// Of the bytes.
        want: u32,
    },
}

/// Reads words and texts from the front of a payload.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn word(&mut self) -> Option<u32> {
        self.take(4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
    }

    fn text(&mut self) -> Option<String> {
        let n = usize::from(*self.take(1)?.first()?);
        String::from_utf8(self.take(n)?.to_vec()).ok()
    }

    /// The value, if nothing is left.
    fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

impl Answer {
    /// Reads an answer. An answer that ends early is no error: what arrived is returned with `finished` false.
    ///
    /// # Errors
    /// A foreign magic, a malformed record, a checksum that does not hold.
    pub fn parse(bytes: &[u8]) -> Result<Self, AnswerError> {
        let mut answer = Answer::default();
        let Some(mut rest) = bytes.strip_prefix(&ANSWER_MAGIC[..]) else {
            let cut_in_the_magic = ANSWER_MAGIC.starts_with(bytes);
            return if cut_in_the_magic { Ok(answer) } else { Err(AnswerError::Magic) };
        };
        while let Some((head, after)) = rest.split_first_chunk::<8>() {
            let offset = bytes.len() - rest.len();
            let [t0, t1, t2, t3, length @ ..] = *head;
            let tag = [t0, t1, t2, t3];
            let malformed = AnswerError::Record { tag, offset };
            if answer.finished {
                return Err(malformed);
            }
            let Some((payload, after)) = after.split_at_checked(u32::from_le_bytes(length) as usize) else { break };
            if tag == tag::DONE {
                let mut reader = Reader(payload);
                let got = reader.word().and_then(|w| reader.end(w)).ok_or(malformed)?;
                let want = crc32(&bytes[..offset]);
                if got != want {
                    return Err(AnswerError::Checksum { got, want });
                }
                answer.finished = true;
            } else {
                answer.record(tag, payload).ok_or(malformed)?;
            }
            rest = after;
        }
        if answer.finished && !rest.is_empty() {
            return Err(AnswerError::Record { tag: [0; 4], offset: bytes.len() - rest.len() });
        }
        Ok(answer)
    }

    fn record(&mut self, tag: [u8; 4], payload: &[u8]) -> Option<()> {
        let mut r = Reader(payload);
        match tag {
            tag::IDENTITY if self.identity.is_none() => {
                let (artifact_bytes, artifact_crc) = (r.word()?, r.word()?);
                let (core, version) = (r.text()?, r.text()?);
                self.identity = Some(r.end(Identity { artifact_bytes, artifact_crc, core, version })?);
            }
            tag::PLAN if self.plan.is_none() && self.identity.is_some() => {
                let (taps, components, scratch_bytes) = (r.word()?, r.word()?, r.word()?);
                let kernel = r.text()?;
                self.plan = Some(r.end(Plan { taps, components, scratch_bytes, kernel })?);
            }
            tag::PICTURE => {
                let plan = self.plan.as_ref()?;
                let (index, input_crc, norm2) = (r.word()?, r.word()?, r.word()?);
                if index as usize != self.pictures.len() {
                    return None;
                }
                let codes = r.take(plan.components as usize)?.iter().map(|b| b.cast_signed()).collect();
                let crcs = r.take((plan.taps as usize).checked_mul(4)?)?;
                let taps = crcs.as_chunks::<4>().0.iter().map(|c| u32::from_le_bytes(*c)).collect();
                self.pictures.push(r.end(PictureResult { input_crc, norm2, codes, taps })?);
            }
            tag::MEMORY_USE if self.memory_use.is_none() => {
                let (scratch_touched, stack) = (r.word()?, r.word()?);
                self.memory_use = Some(r.end(MemoryUse { scratch_touched, stack })?);
            }
            tag::TAP_BYTES => self.tap_bytes.extend_from_slice(payload),
            tag::FAILURE if self.failure.is_none() => {
                self.failure = Some(String::from_utf8(payload.to_vec()).ok()?);
            }
            _ => return None,
        }
        Some(())
    }

    /// Bytes of a PICT record, to judge from a file's size how far a device is.
    pub fn picture_record_bytes(taps: usize, components: usize) -> usize {
        8 + 12 + components + 4 * taps
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ldae_shared::crc::Crc32;
    use ldae_shared::parity::{self, AnswerWriter, Sink};
    use proptest::prelude::*;

    struct Bytes(Vec<u8>);
    impl Sink for Bytes {
        type Error = std::convert::Infallible;
        fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }
    }

    fn sample(pictures: &[Vec<i8>], failure: Option<&str>) -> Vec<u8> {
        let mut w = AnswerWriter::start(Bytes(Vec::new())).unwrap();
        w.identity(&parity::Identity { artifact_bytes: 5, artifact_crc: 6, core: "cortex-m4", version: "1.2" })
            .unwrap();
        w.plan(&parity::Plan { taps: 2, components: 3, scratch_bytes: 4, kernel: "portable" }).unwrap();
        for (i, codes) in pictures.iter().enumerate() {
            w.tap_bytes(&[i as u8]).unwrap();
            w.picture(i as u32, 7, 8, codes, &[Crc32::new(); 2]).unwrap();
        }
        failure.into_iter().for_each(|f| w.failure(f).unwrap());
        w.finish().unwrap().0
    }

    #[test]
    fn what_a_device_writes_is_what_the_host_reads() {
        let answer = Answer::parse(&sample(&[vec![1, -2, 3], vec![-128, 127, 0]], Some("too hot"))).unwrap();
        assert!(answer.finished);
        assert_eq!(answer.identity.unwrap().core, "cortex-m4");
        assert_eq!(answer.plan.unwrap().kernel, "portable");
        assert_eq!(answer.pictures[1].codes, [-128, 127, 0]);
        assert_eq!(answer.pictures[1].taps, [0, 0]);
        assert_eq!(answer.tap_bytes, [0, 1]);
        assert_eq!(answer.failure.as_deref(), Some("too hot"));
    }

    #[test]
    fn every_truncation_is_unfinished_and_every_changed_byte_is_noticed() {
        let bytes = sample(&[vec![1, 2, 3]], None);
        for n in 0..bytes.len() {
            assert!(!Answer::parse(&bytes[..n]).unwrap().finished, "{n}");
        }
        for i in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[i] ^= 0x10;
            assert!(!Answer::parse(&changed).is_ok_and(|a| a.finished), "byte {i}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(Answer::parse(&longer).is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Answer::parse(&bytes);
            let mut with_magic = ANSWER_MAGIC.to_vec();
            with_magic.extend_from_slice(&bytes);
            let _ = Answer::parse(&with_magic);
        }

        #[test]
        fn damaged_answers_never_panic(at in 0usize..200, value: u8, cut in 0usize..200) {
            let mut bytes = sample(&[vec![1, 2, 3], vec![4, 5, 6]], Some("x"));
            let at = at % bytes.len();
            bytes[at] = value;
            bytes.truncate(bytes.len() - cut % bytes.len());
            let _ = Answer::parse(&bytes);
        }
    }
}
