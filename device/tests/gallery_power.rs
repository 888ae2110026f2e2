//! Power is cut at every single step of saving a gallery: afterwards the old or the new state is there, whole, and saving
//! works again.

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};
use ldae_device::Embedding;
use ldae_device::gallery::{EncoderId, Gallery, HEADER_ROOM, Restored, Store, StoreError};
use ldae_shared::format::{Artifact, ArtifactDesc, Fill};
use ldae_shared::noise::{Purpose, Stream};
use ldae_shared::spec::PRESETS;

const E: usize = 10;
type Small = Gallery<E, 40>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    PowerIsOff,
    TornWord,
}

impl NorFlashError for Trouble {
    fn kind(&self) -> NorFlashErrorKind {
        NorFlashErrorKind::Other
    }
}

/// NOR flash: erasing sets bits, programming clears them, each word once. Steps are words programmed and words erased;
/// the step in which power fails does part of its work.
#[derive(Clone)]
struct Flash<const WRITE: usize, const ERASE: usize> {
    bytes: Vec<u8>,
    /// Words programmed since the last erasure.
    programmed: Vec<bool>,
    /// Words that power loss tore; an ECC flash refuses to read them.
    torn: Vec<bool>,
    ecc: bool,
    /// Steps until the power fails; `None` is a good supply.
    left: Option<u64>,
    steps: u64,
    chance: Stream,
}

impl<const WRITE: usize, const ERASE: usize> Flash<WRITE, ERASE> {
    fn new(sectors: usize, ecc: bool, seed: u64) -> Self {
        let (size, words) = (sectors * ERASE, sectors * ERASE / WRITE);
        let mut chance = Stream::new(seed, Purpose::Vector, 1, 0);
        // Whatever was there before.
        let bytes = (0..size).map(|_| chance.below(256) as u8).collect();
        Flash { bytes, programmed: vec![true; words], torn: vec![false; words], ecc, left: None, steps: 0, chance }
    }

    /// True if power fails in this step.
    fn fails(&mut self) -> Result<bool, Trouble> {
        self.steps += 1;
        match &mut self.left {
            None => Ok(false),
            Some(0) => Err(Trouble::PowerIsOff),
            Some(n) => {
                *n -= 1;
                Ok(*n == 0)
            }
        }
    }
}

impl<const WRITE: usize, const ERASE: usize> ErrorType for Flash<WRITE, ERASE> {
    type Error = Trouble;
}

impl<const WRITE: usize, const ERASE: usize> ReadNorFlash for Flash<WRITE, ERASE> {
    const READ_SIZE: usize = if WRITE < 4 { 1 } else { 4 };

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), Trouble> {
        let (from, to) = (offset as usize, offset as usize + bytes.len());
        assert!(from.is_multiple_of(Self::READ_SIZE) && bytes.len().is_multiple_of(Self::READ_SIZE));
        if self.left == Some(0) {
            return Err(Trouble::PowerIsOff);
        }
        if self.ecc && self.torn[from / WRITE..to.div_ceil(WRITE)].contains(&true) {
            return Err(Trouble::TornWord);
        }
        bytes.copy_from_slice(&self.bytes[from..to]);
        Ok(())
    }

    fn capacity(&self) -> usize {
        self.bytes.len()
    }
}

impl<const WRITE: usize, const ERASE: usize> NorFlash for Flash<WRITE, ERASE> {
    const WRITE_SIZE: usize = WRITE;
    const ERASE_SIZE: usize = ERASE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), Trouble> {
        let (from, to) = (from as usize, to as usize);
        assert!(from.is_multiple_of(ERASE) && to.is_multiple_of(ERASE) && from < to);
        for sector in (from..to).step_by(ERASE) {
            // All cells of a sector are erased at a time: when power fails, every bit of it may or may not have changed.
            let words = sector / WRITE..(sector + ERASE) / WRITE;
            for part in [1u32, 2, 3, 4] {
                let fails = self.fails()?;
                for byte in &mut self.bytes[sector..sector + ERASE] {
                    let mask = if part == 4 && !fails { 0xFF } else { self.chance.below(256) as u8 };
                    *byte |= mask;
                }
                self.torn[words.clone()].fill(fails || part < 4);
                self.programmed[words.clone()].fill(fails || part < 4);
                if fails {
                    return Err(Trouble::PowerIsOff);
                }
            }
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), Trouble> {
        assert!((offset as usize).is_multiple_of(WRITE) && bytes.len().is_multiple_of(WRITE) && !bytes.is_empty());
        for (word, at) in bytes.chunks(WRITE).zip((offset as usize..).step_by(WRITE)) {
            assert!(!self.programmed[at / WRITE], "the word at {at} is programmed twice");
            let fails = self.fails()?;
            self.programmed[at / WRITE] = true;
            self.torn[at / WRITE] = fails;
            for (cell, byte) in self.bytes[at..at + WRITE].iter_mut().zip(word) {
                let spared = if fails { self.chance.below(256) as u8 } else { 0 };
                *cell &= byte | spared;
            }
            if fails {
                return Err(Trouble::PowerIsOff);
            }
        }
        Ok(())
    }
}

fn encoder(identity: u8) -> EncoderId {
    let desc = ArtifactDesc::synthetic(PRESETS[0].spec, Fill::OneHot, 1);
    EncoderId::of(&Artifact::parse(&desc.write(|_| [identity; 32]).unwrap()).unwrap())
}

fn gallery(seed: u64, count: u32) -> Small {
    let mut gallery = Gallery::new();
    for i in 0..count {
        let mut stream = Stream::new(seed, Purpose::Vector, 0, i);
        let codes: [i8; E] = std::array::from_fn(|_| (stream.below(255) as i32 - 127) as i8);
        let norm2 = codes.iter().map(|&c| i32::from(c).pow(2) as u32).sum();
        gallery.add(Embedding { codes: &codes, norm2 }, i as u16).unwrap();
    }
    gallery
}

/// Cuts power at every step of saving `new` over `old` (saved after `older`); returns the number of steps.
fn cut_everywhere<const WRITE: usize, const ERASE: usize>(ecc: bool, states: [Option<u32>; 3]) -> u64 {
    let [older, old, new] = [0, 1, 2].map(|i| states[i].map(|count| gallery(i as u64, count)));
    let (new, id) = (new.unwrap(), encoder(1));
    let slot = Store::<Flash<WRITE, ERASE>>::slot_bytes::<E, 40>();
    let start = ERASE as u32;
    let mut before = Flash::<WRITE, ERASE>::new(1 + 2 * slot as usize / ERASE, ecc, 5);
    for state in [&older, &old].into_iter().flatten() {
        let mut store = Store::new(before, start, slot).unwrap();
        store.save(state, &id).unwrap();
        before = store.release();
    }
    before.steps = 0;
    let mut whole = Store::new(before.clone(), start, slot).unwrap();
    whole.save(&new, &id).unwrap();
    let steps = whole.release().steps;

    let (mut kept, mut replaced) = (0, 0);
    for cut in 1..=steps {
        let mut flash = before.clone();
        flash.left = Some(cut);
        flash.chance = Stream::new(cut, Purpose::Vector, 2, 0);
        let mut store = Store::new(flash, start, slot).unwrap();
        assert_eq!(store.save(&new, &id), Err(StoreError::Flash(Trouble::PowerIsOff)), "cut at step {cut}");
        // Power is back.
        let mut flash = store.release();
        flash.left = None;
        let mut store = Store::new(flash, start, slot).unwrap();
        let mut restored = gallery(9, 3);
        let found = store.restore(&mut restored, &id).unwrap();
        match found {
            Restored::Nothing => assert!(old.is_none() && restored.is_empty(), "cut at step {cut} of {steps}"),
            Restored::State { .. } if restored == new => replaced += 1,
            Restored::State { .. } => {
                assert_eq!(Some(&restored), old.as_ref(), "cut at step {cut} of {steps}");
                kept += 1;
            }
        }
        // Life goes on.
        let next = gallery(cut, 17);
        store.save(&next, &id).unwrap();
        store.restore(&mut restored, &id).unwrap();
        assert_eq!(restored, next, "after a cut at step {cut}");
    }
    if old.is_some() {
        assert!(kept > steps / 2, "{kept} kept, {replaced} replaced of {steps}");
    }
    steps
}

#[test]
fn the_old_or_the_new_state_survives_a_cut_at_any_step() {
    let mut steps = 0;
    for ecc in [false, true] {
        for states in [
            [None, None, Some(5)],
            [None, Some(9), Some(10)],
            [Some(3), Some(40), Some(1)],
            [Some(40), Some(0), Some(40)],
        ] {
            steps += cut_everywhere::<1, 256>(ecc, states); // bytes: SPI NOR behind a page buffer
            steps += cut_everywhere::<4, 4096>(ecc, states); // nRF52840
            steps += cut_everywhere::<8, 2048>(ecc, states); // STM32L4
            steps += cut_everywhere::<32, 1024>(ecc, states); // the flash word of the STM32H7
            steps += cut_everywhere::<256, 4096>(ecc, states); // RP2040: pages and sectors
        }
    }
    println!("{steps} cuts");
    assert!(steps > 1000);
}

#[test]
fn saving_over_and_over_alternates_between_the_slots() {
    let id = encoder(1);
    let slot = Store::<Flash<4, 512>>::slot_bytes::<E, 40>();
    let mut store = Store::new(Flash::<4, 512>::new(2 * slot as usize / 512, false, 1), 0, slot).unwrap();
    let mut restored: Small = Gallery::new();
    assert_eq!(store.restore(&mut restored, &id), Ok(Restored::Nothing));
    for sequence in 0..20 {
        let state = gallery(u64::from(sequence), sequence % 41);
        assert_eq!(store.save(&state, &id), Ok(sequence));
        assert_eq!(store.restore(&mut restored, &id), Ok(Restored::State { sequence }));
        assert_eq!(restored, state);
    }
    assert!(store.restore(&mut restored, &encoder(2)).is_err() && restored.is_empty());
}

#[test]
fn slots_that_do_not_suit_the_flash_are_refused() {
    let new = |start, slot| Store::new(Flash::<4, 512>::new(8, false, 1), start, slot).err();
    assert_eq!(new(512, 1024), None);
    for (start, slot) in [(0, 2049), (100, 1024), (0, 700), (0, 0), (512, 2048), (u32::MAX - 511, 512), (0, 1 << 31)] {
        assert_eq!(new(start, slot), Some(StoreError::Geometry), "{start} {slot}");
    }
    assert!(Store::new(Flash::<512, 1024>::new(8, false, 1), 0, 1024).is_err());
    let mut store = Store::new(Flash::<4, 512>::new(8, false, 1), 0, 512).unwrap();
    let needed = HEADER_ROOM + 15 * (8 + E);
    assert_eq!(store.save(&gallery(1, 15), &encoder(1)), Err(StoreError::Slot { needed, slot: 512 }));
}

/// Header and entries of every kind of damage: never a panic, never a gallery that was not saved.
#[test]
fn damaged_slots_are_invalid() {
    let id = encoder(1);
    let mut store = Store::new(Flash::<4, 512>::new(4, false, 1), 0, 1024).unwrap();
    let state = gallery(1, 12);
    store.save(&state, &id).unwrap();
    let flash = store.release();
    let used = HEADER_ROOM + 12 * (8 + E);
    for at in (0..64).chain(HEADER_ROOM..used) {
        let mut damaged = flash.clone();
        damaged.bytes[at] ^= 0x41;
        let mut restored: Small = Gallery::new();
        let found = Store::new(damaged, 0, 1024).unwrap().restore(&mut restored, &id);
        assert_eq!(found, Ok(Restored::Nothing), "byte {at}");
        assert!(restored.is_empty());
    }
}
