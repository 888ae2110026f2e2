//! The device side of `ldae verify --device serial:PORT`: one conversation after the other over a serial port, about the
//! artifact in flash. docs/PROTOCOL.md describes the bytes; a board brings a [`Port`].

use crate::parity::{self, Memory, Source};
use core::cell::RefCell;
use core::fmt::Debug;
use ldae_shared::link::{Board, Lost};
use ldae_shared::parity::Sink;

pub use ldae_shared::link::{BAUD, Port};

/// Answers hosts until the port breaks; returns how.
pub fn serve<P: Port>(core: &str, port: P, artifact: &[u8], memory: &mut Memory<'_>) -> P::Error
where
    P::Error: Debug,
{
    let board = RefCell::new(Board::new(port));
    loop {
        if let Err(Lost::Port(e)) = board.borrow_mut().accept() {
            return e;
        }
        let own = Memory {
            scratch: &mut *memory.scratch,
            pixels: &mut *memory.pixels,
            codes: &mut *memory.codes,
            taps: &mut *memory.taps,
        };
        // Whether all went well is in the answer; a host that has gone needs none.
        let _ = parity::answer(core, &mut End(&board), End(&board), |_| Some(artifact), own);
        if let Err(Lost::Port(e)) = board.borrow_mut().flush() {
            return e;
        }
    }
}

/// One direction of the conversation.
struct End<'b, P>(&'b RefCell<Board<P>>);

impl<P: Port> Source for End<'_, P>
where
    P::Error: Debug,
{
    type Error = Lost<P::Error>;
    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        self.0.borrow_mut().read(bytes)
    }
}

impl<P: Port> Sink for End<'_, P> {
    type Error = Lost<P::Error>;
    fn write(&mut self, bytes: &[u8]) -> Result<(), Self::Error> {
        self.0.borrow_mut().write(bytes)
    }
}
