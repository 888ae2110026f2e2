//! What is particular to the board: esp-hal's startup at the highest clock, a cycle counter, and UART0.
#![no_std]

use core::arch::asm;
use core::fmt;
use esp_hal::Blocking;
use esp_hal::clock::CpuClock;
use esp_hal::peripherals::Peripherals;
use esp_hal::time::{Duration, Instant};
use esp_hal::uart::{Config, IoError, RxError, Uart};
use ldae_example_app::serial::{BAUD, Port};

/// The core as it names itself to the host.
pub const CORE: &str = "rv32imc (ESP32-C3)";

/// Startup: 160 MHz, watchdogs off.
pub fn start() -> Peripherals {
    let peripherals = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
    // SAFETY: the chip's own counter (ESP32-C3 technical reference manual, "Performance Counter"): event 0 is cycles,
    // then it is switched on. It has no standard mcycle.
    unsafe { asm!("csrw 0x7E0, {one}", "csrw 0x7E1, {one}", one = in(reg) 1) };
    peripherals
}

/// Cycles since [`start`]; starts again at 0 after 2^32.
pub fn cycles() -> Option<u64> {
    let cycles: u32;
    // SAFETY: reading the counter has no effect.
    unsafe { asm!("csrr {}, 0x7E2", out(reg) cycles) };
    Some(u64::from(cycles))
}

/// Lowest address of the stack: the end of the statics.
pub fn stack_end() -> usize {
    unsafe extern "C" {
        /// esp-hal's linker script.
        static _stack_end: u8;
    }
    &raw const _stack_end as usize
}

/// Standard output of [`esp_println`]: USB, or UART0 when no USB host is there.
pub struct Console;

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        esp_println::print!("{text}");
        Ok(())
    }
}

/// UART0, which most boards lead to a USB bridge: GPIO21 transmits, GPIO20 receives, 8N1.
pub struct Line(Uart<'static, Blocking>);

impl Line {
    /// Pins and baud rate.
    ///
    /// # Panics
    /// When esp-hal cannot make the baud rate from its clock.
    pub fn open(peripherals: Peripherals) -> Self {
        let uart = Uart::new(peripherals.UART0, Config::default().with_baudrate(BAUD)).expect("a usual baud rate");
        Line(uart.with_tx(peripherals.GPIO21).with_rx(peripherals.GPIO20))
    }
}

impl Port for Line {
    type Error = IoError;

    fn write(&mut self, mut bytes: &[u8]) -> Result<(), IoError> {
        while !bytes.is_empty() {
            let written = self.0.write(bytes).map_err(IoError::Tx)?;
            bytes = bytes.get(written..).unwrap_or_default();
        }
        self.0.flush().map_err(IoError::Tx)
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, IoError> {
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(250) {
            match self.0.read_buffered(bytes) {
                Ok(0) => {}
                Ok(n) => return Ok(n),
                // Noise on the line: the frames' checksums notice what is missing.
                Err(RxError::FifoOverflowed | RxError::GlitchOccurred | RxError::FrameFormatViolated) => {}
                Err(e) => return Err(IoError::Rx(e)),
            }
        }
        Ok(0)
    }
}
