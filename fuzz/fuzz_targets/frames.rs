//! Arbitrary bytes on the serial line: the decoder never panics, a frame that it finds encodes and decodes to itself, and
//! noise never hides the frame behind it. A board that hears them waits on or asks again, and never panics either.
#![no_main]

use ldae_shared::link::{Board, Decoder, FRAME_WIRE, Frame, Kind, Lost, PIECE, Port, Pushed, encode};
use libfuzzer_sys::fuzz_target;

fn decode(decoder: &mut Decoder, bytes: &[u8]) -> Option<(Kind, u32, u32, Vec<u8>)> {
    let mut last = None;
    for byte in bytes {
        last = None;
        if decoder.push(*byte) == Pushed::Frame {
            let f = decoder.frame().expect("a frame was announced");
            last = Some((f.kind, f.session, f.offset, f.payload.to_vec()));
        }
    }
    last
}

/// Silent when the bytes are used up, then broken.
struct Noise<'n>(&'n [u8], u32);

impl Port for Noise<'_> {
    type Error = ();
    fn write(&mut self, bytes: &[u8]) -> Result<(), ()> {
        assert!(bytes.len() <= FRAME_WIRE);
        Ok(())
    }
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, ()> {
        if let Some((first, rest)) = self.0.split_first() {
            (bytes[0], self.0) = (*first, rest);
            return Ok(1);
        }
        self.1 += 1;
        if self.1 > 200 { Err(()) } else { Ok(0) }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut wire = [0; FRAME_WIRE];
    let mut decoder = Decoder::new();
    for byte in data {
        if decoder.push(*byte) == Pushed::Frame {
            let frame = decoder.frame().expect("a frame was announced");
            assert!(frame.payload.len() <= PIECE);
            let found = decode(&mut Decoder::new(), encode(&frame, &mut wire)).expect("its own encoding");
            assert_eq!(found, (frame.kind, frame.session, frame.offset, frame.payload.to_vec()));
        }
    }
    let payload = data.get(..PIECE).unwrap_or(data);
    let next = Frame { kind: Kind::Data, session: 3, offset: 5, payload };
    let found = decode(&mut decoder, encode(&next, &mut wire));
    assert_eq!(found, Some((Kind::Data, 3, 5, payload.to_vec())));

    let mut board = Board::new(Noise(data, 0));
    let mut request = [0; 600];
    while board.accept().is_ok() {
        match board.read(&mut request).and_then(|()| board.write(&request)).and_then(|()| board.flush()) {
            Err(Lost::Port(())) => break,
            Ok(()) | Err(_) => {}
        }
    }
});
