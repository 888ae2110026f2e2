//! How `ldae verify` speaks with a board over a serial line: the byte streams of [`crate::parity`], carried by frames that
//! are numbered, checked and repeated. docs/PROTOCOL.md is the description for people.
//!
//! The board leads: it asks for the request piece by piece (WANT, answered by DATA), so that its receiver can never overflow,
//! and repeats each piece of its answer until it is acknowledged (ANSWER, answered by ACK). The host only opens the
//! conversation (OPEN, answered by HELLO). Whatever is damaged is dropped and asked for again; a frame ends at a zero byte
//! that occurs nowhere inside, so both sides find the next frame after any noise.
//!
//! Refused: payloads above [`PIECE`], unknown kinds, frames whose CRC-32 does not hold, frames of another session.

mod board;
mod frame;
#[cfg(test)]
mod tests;

pub use board::{Board, Lost, Port};
pub use frame::{Decoder, FRAME_WIRE, Frame, Kind, PIECE, Pushed, encode};

/// Version of the frames and their order; a HELLO or OPEN of another version ends the conversation.
pub const VERSION: u32 = 1;
/// Bits per second unless the user says otherwise.
pub const BAUD: u32 = 115_200;
