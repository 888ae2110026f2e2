//! Frames survive any line noise, and a board gets its request and delivers its answer over a line that loses, changes and
//! invents bytes.

use super::*;
use crate::noise::{Purpose, Stream};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

fn wire(kind: Kind, offset: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = [0; FRAME_WIRE];
    encode(&Frame { kind, session: 0x0100_0007, offset, payload }, &mut out).to_vec()
}

/// What a decoder finds in `bytes`: (kind, offset, payload) of each frame, and the number of damaged ones.
fn decode(bytes: &[u8]) -> (Vec<(Kind, u32, Vec<u8>)>, usize) {
    let (mut decoder, mut frames, mut damaged) = (Decoder::new(), Vec::new(), 0);
    for byte in bytes {
        match decoder.push(*byte) {
            Pushed::More => assert!(decoder.frame().is_none()),
            Pushed::Damaged => damaged += 1,
            Pushed::Frame => {
                let f = decoder.frame().unwrap();
                frames.push((f.kind, f.offset, f.payload.to_vec()));
            }
        }
    }
    (frames, damaged)
}

#[test]
fn payloads_of_every_length_arrive_with_and_without_zeros() {
    for length in 0..=PIECE {
        for fill in [0, 1, 255] {
            let payload = vec![fill; length];
            let bytes = wire(Kind::Answer, 9, &payload);
            assert!(bytes.len() <= FRAME_WIRE && !bytes[1..bytes.len() - 1].contains(&0));
            assert_eq!(decode(&bytes), (vec![(Kind::Answer, 9, payload)], 0), "{length} of {fill}");
        }
    }
    assert_eq!(decode(&wire(Kind::Data, 1, &[7; PIECE + 9])).0[0].2.len(), PIECE);
}

#[test]
fn every_truncation_and_every_changed_byte_is_noticed_and_the_next_frame_is_found() {
    let (first, second) = (wire(Kind::Data, 0x0203_0004, &[1, 0, 2, 0, 0, 3]), wire(Kind::Ack, 5, &[]));
    for cut in 1..first.len() - 1 {
        let (frames, _) = decode(&[&first[..cut], &second].concat());
        assert_eq!(frames, [(Kind::Ack, 5, vec![])], "cut at {cut}");
    }
    for at in 1..first.len() - 1 {
        for flip in [1, 0x80, first[at]] {
            let mut changed = first.clone();
            changed[at] ^= flip;
            let (frames, damaged) = decode(&[changed, second.clone()].concat());
            assert_eq!(frames, [(Kind::Ack, 5, vec![])], "byte {at}");
            assert!(damaged > 0);
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_never_hide_the_next_frame(noise in prop::collection::vec(any::<u8>(), 0..2000), payload in prop::collection::vec(any::<u8>(), 0..=PIECE)) {
        let (frames, _) = decode(&[&noise[..], &wire(Kind::Want, 77, &payload)].concat());
        prop_assert_eq!(frames.last().unwrap(), &(Kind::Want, 77, payload));
    }
}

/// Both ends in one thread: reading from the port lets a simple host answer, over a bad line.
struct BadLine {
    request: Vec<u8>,
    answer: Vec<u8>,
    to_host: Decoder,
    to_board: VecDeque<u8>,
    chance: Stream,
    /// One byte of this many is lost, changed or preceded by another; 0: none.
    trouble: u32,
    session: u32,
    silences: u32,
    /// The host dies after so many frames.
    life: u32,
}

impl BadLine {
    fn new(request: Vec<u8>, trouble: u32) -> Self {
        let chance = Stream::new(u64::from(trouble), Purpose::Vector, 3, 0);
        let (answer, to_host, to_board) = (Vec::new(), Decoder::new(), VecDeque::new());
        let mut line =
            BadLine { request, answer, to_host, to_board, chance, trouble, session: 77, silences: 0, life: u32::MAX };
        line.say(Kind::Open, VERSION, &[]);
        line
    }

    fn distort(&mut self, byte: u8) -> Vec<u8> {
        if self.trouble == 0 || self.chance.below(self.trouble) > 0 {
            return vec![byte];
        }
        let other = self.chance.below(256) as u8;
        [vec![], vec![other], vec![other, byte]][self.chance.below(3) as usize].clone()
    }

    fn say(&mut self, kind: Kind, offset: u32, payload: &[u8]) {
        let mut out = [0; FRAME_WIRE];
        let bytes = encode(&Frame { kind, session: self.session, offset, payload }, &mut out).to_vec();
        for byte in bytes {
            let arrives = self.distort(byte);
            self.to_board.extend(arrives);
        }
    }

    fn hear(&mut self, kind: Kind, offset: u32, payload: &[u8]) {
        if self.life == 0 {
            return;
        }
        self.life -= 1;
        match kind {
            Kind::Want => {
                let from = self.request.len().min(offset as usize);
                let most = usize::from(u16::from_le_bytes([payload[0], payload[1]]));
                let to = self.request.len().min(from + most);
                let piece = self.request[from..to].to_vec();
                self.say(Kind::Data, offset, &piece);
            }
            Kind::Answer => {
                if offset as usize == self.answer.len() {
                    self.answer.extend_from_slice(payload);
                }
                self.say(Kind::Ack, self.answer.len() as u32, &[]);
            }
            _ => {}
        }
    }
}

impl Port for &mut BadLine {
    type Error = &'static str;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        for byte in bytes {
            for byte in self.distort(*byte) {
                if self.to_host.push(byte) == Pushed::Frame {
                    let frame = self.to_host.frame().unwrap();
                    let (kind, offset, payload) = (frame.kind, frame.offset, frame.payload.to_vec());
                    assert_eq!(frame.session, 77);
                    self.hear(kind, offset, &payload);
                }
            }
        }
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Self::Error> {
        let Some(byte) = self.to_board.pop_front() else {
            self.silences += 1;
            if self.silences > 100_000 {
                return Err("nobody opens");
            }
            // A host opens again when it hears nothing.
            if self.answer.is_empty() {
                self.say(Kind::Open, VERSION, &[]);
            }
            return Ok(0);
        };
        bytes[0] = byte;
        Ok(1)
    }
}

fn converse(line: &mut BadLine, answer: &[u8]) -> Result<Vec<u8>, Lost<&'static str>> {
    let length = line.request.len();
    let mut board = Board::new(line);
    'again: loop {
        board.accept()?;
        let mut request = vec![0; length];
        for piece in request.chunks_mut(300) {
            match board.read(piece) {
                Err(Lost::Restarted) => continue 'again,
                other => other?,
            }
        }
        for piece in answer.chunks(77) {
            board.write(piece)?;
        }
        board.flush()?;
        return Ok(request);
    }
}

#[test]
fn both_streams_arrive_whole_over_good_and_bad_lines() {
    let request: Vec<u8> = (0..3000u32).map(|i| (i * i / 7 % 251) as u8).collect();
    let answer: Vec<u8> = (0..2000u32).map(|i| (i % 5 * 60) as u8).collect();
    for trouble in [0, 3000, 1000, 400] {
        let mut line = BadLine::new(request.clone(), trouble);
        assert_eq!(converse(&mut line, &answer).unwrap(), request, "one in {trouble}");
        assert_eq!(line.answer, answer, "one in {trouble}");
    }
}

#[test]
fn a_host_that_dies_or_has_too_little_ends_the_conversation() {
    let mut line = BadLine::new(vec![1; 900], 0);
    line.life = 2;
    assert_eq!(converse(&mut line, &[]), Err(Lost::Silent));
    let mut line = BadLine::new(vec![1; 10], 0);
    let mut board = Board::new(&mut line);
    board.accept().unwrap();
    assert_eq!(board.read(&mut [0; 11]), Err(Lost::Short));
}

/// What is on the line, then silence, then a broken port.
struct Recorded(VecDeque<u8>, u32);

impl Port for Recorded {
    type Error = ();
    fn write(&mut self, bytes: &[u8]) -> Result<(), ()> {
        assert!(bytes.len() <= FRAME_WIRE);
        Ok(())
    }
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, ()> {
        if let Some(byte) = self.0.pop_front() {
            bytes[0] = byte;
            return Ok(1);
        }
        self.1 += 1;
        if self.1 > 300 { Err(()) } else { Ok(0) }
    }
}

proptest! {
    /// Frames in any order, of any session, with any offset, and noise between them.
    #[test]
    fn a_board_survives_whatever_a_host_says(said in prop::collection::vec((0u8..7, 0u32..2, 0u32..3, 0usize..=PIECE), 0..40)) {
        let mut line = VecDeque::new();
        for (kind, session, offset, length) in said {
            let kinds = [Kind::Open, Kind::Hello, Kind::Want, Kind::Data, Kind::Answer, Kind::Ack];
            let mut out = [0; FRAME_WIRE];
            let payload = vec![length as u8; length];
            match kinds.get(usize::from(kind)) {
                Some(kind) => line.extend(encode(&Frame { kind: *kind, session, offset, payload: &payload }, &mut out)),
                None => line.extend(&payload),
            }
        }
        let mut board = Board::new(Recorded(line, 0));
        while board.accept().is_ok() {
            let mut request = [0; 300];
            let heard = board.read(&mut request).and_then(|()| board.write(&request)).and_then(|()| board.flush());
            if heard == Err(Lost::Port(())) {
                break;
            }
        }
    }
}
