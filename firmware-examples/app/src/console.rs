//! The console of a board: whole lines through defmt, over RTT or whatever else the board package links.

use core::fmt;
use heapless::String;

/// Longest line; a longer one is printed in pieces.
const LINE: usize = 160;

/// Gathers a line, then prints it.
#[derive(Default)]
pub struct Console {
    line: String<LINE>,
}

impl Console {
    /// Nothing gathered yet.
    pub const fn new() -> Self {
        Console { line: String::new() }
    }

    fn print(&mut self) {
        defmt::println!("{=str}", self.line.as_str());
        self.line.clear();
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            if c == '\n' || self.line.push(c).is_err() {
                self.print();
                if c != '\n' {
                    self.line.push(c).map_err(|_| fmt::Error)?;
                }
            }
        }
        Ok(())
    }
}
