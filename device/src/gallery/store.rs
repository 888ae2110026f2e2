//! A gallery in flash that survives power loss at any write: afterwards either the old or the new state is there, whole.
//!
//! Two slots of whole erase sectors. A state (image.rs) is saved into the slot that does not hold the newest one: erase,
//! entries (read back and compared by CRC), and last the header, which makes it valid. Until the header's last word is
//! programmed the slot is invalid and the other one still holds the old state. Of two valid slots the later sequence number
//! counts (serial-number arithmetic). No word is programmed twice between erasures, so flash with ECC over words of up
//! to 256 bytes will do. Such flash may refuse to read a word that was torn by a power cut: a slot that cannot be read
//! counts as invalid, unless neither can be read.
//!
//! Refused: slots that are no whole sectors, write granularities that do not divide [`HEADER_ROOM`], galleries larger than
//! a slot. Not covered: cells that wear out in silence after they were read back, and bits that decay.

use super::Gallery;
use super::image::{EncoderId, HEADER, Header, ImageError};
use embedded_storage::nor_flash::NorFlash;
use ldae_shared::crc::Crc32;

/// Bytes of a slot before the entries; the header is at its front.
pub const HEADER_ROOM: usize = 256;

/// What was found in flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// No state was ever saved whole: the gallery is empty.
    Nothing,
    /// The newest whole state.
    State {
        /// Its sequence number.
        sequence: u32,
    },
}

/// Why a gallery was not saved or restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreError<F> {
    /// The flash driver's error.
    Flash(F),
    /// Slots that the flash's geometry does not allow.
    Geometry,
    /// The gallery does not fit in a slot.
    Slot {
        /// Bytes needed.
        needed: usize,
        /// Bytes of a slot.
        slot: u32,
    },
    /// What was written does not read back: the sector is worn or write-protected. The old state is still there.
    Verify,
    /// The saved state does not suit this encoder or gallery.
    Image(ImageError),
}

impl<F: core::fmt::Debug> core::fmt::Display for StoreError<F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            StoreError::Flash(e) => write!(f, "flash error {e:?}"),
            StoreError::Geometry => f.write_str("the slots do not suit the flash's sectors and words"),
            StoreError::Slot { needed, slot } => write!(f, "gallery of {needed} bytes in a slot of {slot}"),
            StoreError::Verify => f.write_str("flash does not read back what was written"),
            StoreError::Image(e) => write!(f, "{e}"),
        }
    }
}

impl<F: core::fmt::Debug> core::error::Error for StoreError<F> {}

impl<F> From<ImageError> for StoreError<F> {
    fn from(e: ImageError) -> Self {
        StoreError::Image(e)
    }
}

/// The newest whole state.
#[derive(Clone, Copy)]
struct Current {
    slot: u32,
    header: Header,
}

/// Two slots in `flash`, from `start` on, `slot` bytes each.
#[derive(Debug)]
pub struct Store<F> {
    flash: F,
    start: u32,
    slot: u32,
}

impl<F: NorFlash> Store<F> {
    /// Bytes of a slot that has room for every gallery of `E` components and `CAP` entries on this flash.
    pub const fn slot_bytes<const E: usize, const CAP: usize>() -> u32 {
        let needed = HEADER_ROOM + Gallery::<E, CAP>::MAX_IMAGE_BYTES - HEADER;
        (needed.div_ceil(F::ERASE_SIZE) * F::ERASE_SIZE) as u32
    }

    /// Uses `2 · slot` bytes of `flash` from `start` on; touches nothing yet.
    ///
    /// # Errors
    /// [`StoreError::Geometry`].
    pub fn new(flash: F, start: u32, slot: u32) -> Result<Self, StoreError<F::Error>> {
        let sector = |bytes: u32| bytes.is_multiple_of(F::ERASE_SIZE as u32);
        let end = slot.checked_mul(2).and_then(|both| both.checked_add(start)).ok_or(StoreError::Geometry)?;
        let words = HEADER_ROOM.is_multiple_of(F::WRITE_SIZE)
            && HEADER.is_multiple_of(F::READ_SIZE)
            && F::WRITE_SIZE.is_multiple_of(F::READ_SIZE)
            && slot.is_multiple_of(HEADER as u32);
        let fits = end as usize <= flash.capacity() && slot as usize >= HEADER_ROOM;
        if words && fits && sector(start) && sector(slot) {
            Ok(Store { flash, start, slot })
        } else {
            Err(StoreError::Geometry)
        }
    }

    /// Gives the flash back.
    pub fn release(self) -> F {
        self.flash
    }

    /// Replaces `gallery` by the newest whole state. After an error, and when nothing was saved, it is empty.
    ///
    /// # Errors
    /// The flash cannot be read, or the state belongs to another encoder or needs a larger gallery.
    pub fn restore<const E: usize, const CAP: usize>(
        &mut self,
        gallery: &mut Gallery<E, CAP>,
        encoder: &EncoderId,
    ) -> Result<Restored, StoreError<F::Error>> {
        gallery.clear();
        let Some(Current { slot, header }) = self.newest()? else { return Ok(Restored::Nothing) };
        let mut reader = Reader::new(&mut self.flash, self.start + slot * self.slot + HEADER_ROOM as u32);
        gallery.read_body(&header, encoder, |piece| reader.read(piece).map_err(StoreError::Flash))?;
        Ok(Restored::State { sequence: header.sequence })
    }

    /// Saves `gallery`; returns the sequence number. When power is lost before this returns, the next
    /// [`Store::restore`] finds either this state or the one before.
    ///
    /// # Errors
    /// It does not fit, or the flash failed; the old state is still there.
    pub fn save<const E: usize, const CAP: usize>(
        &mut self,
        gallery: &Gallery<E, CAP>,
        encoder: &EncoderId,
    ) -> Result<u32, StoreError<F::Error>> {
        let needed = HEADER_ROOM + gallery.image_bytes() - HEADER;
        let erased = needed.div_ceil(F::ERASE_SIZE) * F::ERASE_SIZE;
        if erased > self.slot as usize {
            return Err(StoreError::Slot { needed, slot: self.slot });
        }
        let current = self.newest()?;
        let sequence = current.map_or(0, |c| c.header.sequence.wrapping_add(1));
        let target = current.map_or(0, |c| 1 - c.slot);
        let from = self.start + target * self.slot;
        self.flash.erase(from, from + erased as u32).map_err(StoreError::Flash)?;

        let mut writer = Writer::new(&mut self.flash, from + HEADER_ROOM as u32);
        gallery.write_body(|piece| writer.write(piece)).and_then(|()| writer.finish()).map_err(StoreError::Flash)?;
        let header = gallery.header(sequence, encoder);
        if self.body_crc(target, &header).map_err(StoreError::Flash)? != header.body_crc {
            return Err(StoreError::Verify);
        }
        let mut writer = Writer::new(&mut self.flash, from);
        writer.write(&header.to_bytes()).and_then(|()| writer.finish()).map_err(StoreError::Flash)?;
        match self.header(target).map_err(StoreError::Flash)? {
            Some(written) if written == header => Ok(sequence),
            _ => Err(StoreError::Verify),
        }
    }

    /// The newer of the valid slots.
    fn newest(&mut self) -> Result<Option<Current>, StoreError<F::Error>> {
        match (self.valid(0), self.valid(1)) {
            (Ok(Some(a)), Ok(Some(b))) => {
                let b_is_later = (b.header.sequence.wrapping_sub(a.header.sequence) as i32) > 0;
                Ok(Some(if b_is_later { b } else { a }))
            }
            (Ok(Some(current)), _) | (_, Ok(Some(current))) => Ok(Some(current)),
            (Err(e), Err(_)) => Err(StoreError::Flash(e)),
            _ => Ok(None),
        }
    }

    fn valid(&mut self, slot: u32) -> Result<Option<Current>, F::Error> {
        let Some(header) = self.header(slot)? else { return Ok(None) };
        let fits = header.body_bytes as usize <= self.slot as usize - HEADER_ROOM;
        let whole = fits && self.body_crc(slot, &header)? == header.body_crc;
        Ok(whole.then_some(Current { slot, header }))
    }

    fn header(&mut self, slot: u32) -> Result<Option<Header>, F::Error> {
        let mut bytes = [0; HEADER];
        self.flash.read(self.start + slot * self.slot, &mut bytes)?;
        Ok(Header::from_bytes(&bytes))
    }

    fn body_crc(&mut self, slot: u32, header: &Header) -> Result<u32, F::Error> {
        let mut reader = Reader::new(&mut self.flash, self.start + slot * self.slot + HEADER_ROOM as u32);
        let (mut crc, mut left) = (Crc32::new(), header.body_bytes as usize);
        let mut piece = [0; HEADER];
        while left > 0 {
            let Some(piece) = piece.get_mut(..left.min(HEADER)) else { break };
            reader.read(piece)?;
            crc.update(piece);
            left -= piece.len();
        }
        Ok(crc.finish())
    }
}

/// Programs whole words in order; the last is filled up with erased bytes.
struct Writer<'f, F> {
    flash: &'f mut F,
    offset: u32,
    buffer: [u8; HEADER_ROOM],
    filled: usize,
}

impl<'f, F: NorFlash> Writer<'f, F> {
    fn new(flash: &'f mut F, offset: u32) -> Self {
        Writer { flash, offset, buffer: [0xFF; HEADER_ROOM], filled: 0 }
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), F::Error> {
        while !bytes.is_empty() {
            let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
            let (now, later) = bytes.split_at(room.len().min(bytes.len()));
            room.iter_mut().zip(now).for_each(|(place, byte)| *place = *byte);
            self.filled += now.len();
            bytes = later;
            if self.filled == HEADER_ROOM {
                self.finish()?;
            }
        }
        Ok(())
    }

    /// Programs what is in the buffer.
    fn finish(&mut self) -> Result<(), F::Error> {
        let words = self.filled.next_multiple_of(F::WRITE_SIZE);
        let bytes = self.buffer.get(..words).unwrap_or(&self.buffer);
        if !bytes.is_empty() {
            self.flash.write(self.offset, bytes)?;
        }
        self.offset += bytes.len() as u32;
        self.buffer.fill(0xFF);
        self.filled = 0;
        Ok(())
    }
}

/// Reads in order through a buffer of whole words.
struct Reader<'f, F> {
    flash: &'f mut F,
    offset: u32,
    buffer: [u8; HEADER],
    used: usize,
}

impl<'f, F: NorFlash> Reader<'f, F> {
    fn new(flash: &'f mut F, offset: u32) -> Self {
        Reader { flash, offset, buffer: [0; HEADER], used: HEADER }
    }

    fn read(&mut self, mut out: &mut [u8]) -> Result<(), F::Error> {
        while !out.is_empty() {
            if self.used == HEADER {
                // The slot is a multiple of the buffer, so this never leaves it.
                self.flash.read(self.offset, &mut self.buffer)?;
                self.offset += HEADER as u32;
                self.used = 0;
            }
            let have = self.buffer.get(self.used..).unwrap_or_default();
            let (now, later) = out.split_at_mut(have.len().min(out.len()));
            now.iter_mut().zip(have).for_each(|(place, byte)| *place = *byte);
            self.used += now.len();
            out = later;
        }
        Ok(())
    }
}
