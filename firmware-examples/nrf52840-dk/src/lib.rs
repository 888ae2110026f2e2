//! What is particular to the board: the crystal (for the baud rate; the core runs at 64 MHz either way), the instruction
//! cache, and UART0, which the probe on the board shows the host as a serial port. Register addresses: nRF52840 product
//! specification.
#![no_std]

use core::convert::Infallible;
use cortex_m::Peripherals;
use ldae_example_app::serial::Port;

/// About twenty cycles of 64 MHz each (the peripheral bus is slow): a quarter of a second.
const POLLS: u32 = 64_000_000 / 4 / 20;

const CLOCK_TASKS_HFCLKSTART: u32 = 0x4000_0000;
const CLOCK_EVENTS_HFCLKSTARTED: u32 = 0x4000_0100;
const NVMC_ICACHECNF: u32 = 0x4001_E540;
const P0_OUTSET: u32 = 0x5000_0508;
const P0_DIRSET: u32 = 0x5000_0518;
const P0_PIN_CNF: u32 = 0x5000_0700;
const UART0_TASKS_STARTRX: u32 = 0x4000_2000;
const UART0_TASKS_STARTTX: u32 = 0x4000_2008;
const UART0_EVENTS_RXDRDY: u32 = 0x4000_2108;
const UART0_EVENTS_TXDRDY: u32 = 0x4000_211C;
const UART0_ENABLE: u32 = 0x4000_2500;
const UART0_PSELTXD: u32 = 0x4000_250C;
const UART0_PSELRXD: u32 = 0x4000_2514;
const UART0_RXD: u32 = 0x4000_2518;
const UART0_TXD: u32 = 0x4000_251C;
const UART0_BAUDRATE: u32 = 0x4000_2524;

/// Pins that lead to the probe.
const TXD: u32 = 6;
const RXD: u32 = 8;
/// 115200 baud, by the table of the product specification.
const BAUD_115200: u32 = 0x01D7_E000;

/// Prepares the chip.
pub fn start(_: &mut Peripherals) {
    write(NVMC_ICACHECNF, 1);
    write(CLOCK_TASKS_HFCLKSTART, 1);
    while read(CLOCK_EVENTS_HFCLKSTARTED) == 0 {}
}

/// UART0 on P0.06 and P0.08, 8N1.
pub struct Uart(());

impl Uart {
    /// Pins and baud rate.
    pub fn open() -> Self {
        write(P0_OUTSET, 1 << TXD); // idle is high
        write(P0_DIRSET, 1 << TXD);
        write(P0_PIN_CNF + 4 * RXD, 0); // input, connected
        write(UART0_PSELTXD, TXD);
        write(UART0_PSELRXD, RXD);
        write(UART0_BAUDRATE, BAUD_115200);
        write(UART0_ENABLE, 4);
        write(UART0_TASKS_STARTTX, 1);
        write(UART0_TASKS_STARTRX, 1);
        Uart(())
    }
}

impl Port for Uart {
    type Error = Infallible;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        for byte in bytes {
            write(UART0_EVENTS_TXDRDY, 0);
            write(UART0_TXD, u32::from(*byte));
            while read(UART0_EVENTS_TXDRDY) == 0 {}
        }
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let Some(first) = bytes.first_mut() else { return Ok(0) };
        for _ in 0..POLLS {
            if read(UART0_EVENTS_RXDRDY) != 0 {
                write(UART0_EVENTS_RXDRDY, 0);
                *first = read(UART0_RXD) as u8;
                return Ok(1);
            }
        }
        Ok(0)
    }
}

fn read(register: u32) -> u32 {
    // SAFETY: the callers name registers of peripherals that have a clock; reading them has no effect on memory.
    unsafe { (register as *const u32).read_volatile() }
}

fn write(register: u32, value: u32) {
    // SAFETY: as for `read`; one thread, no interrupt touches these peripherals.
    unsafe { (register as *mut u32).write_volatile(value) }
}
