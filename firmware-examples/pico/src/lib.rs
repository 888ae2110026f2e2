//! What is particular to the board: the second stage of the boot loader, the crystal, and UART0 on the board's pins 1 and 2.
//! Register addresses: RP2040 datasheet.
#![no_std]

use core::convert::Infallible;
use cortex_m::Peripherals;
use ldae_example_app::serial::{BAUD, Port};
use portable_atomic as _;

/// Reads the flash in place (W25Q080, as on the Pico). The boot ROM runs it.
#[unsafe(link_section = ".boot2")]
#[used]
static BOOT2: [u8; 256] = rp2040_boot2::BOOT_LOADER_W25Q080;

/// The crystal, clock of core and UART after [`start`].
const HERTZ: u32 = 12_000_000;
/// About ten cycles each: a quarter of a second.
const POLLS: u32 = HERTZ / 4 / 10;
/// Baud rate divisor in 64ths: HERTZ / (16 · BAUD).
const DIVISOR_64: u32 = (HERTZ * 4 + BAUD / 2) / BAUD;

/// The alias of RESETS_RESET whose ones clear bits.
const RESETS_RESET_CLEAR: u32 = 0x4000_F000;
const RESETS_DONE: u32 = 0x4000_C008;
const XOSC_CTRL: u32 = 0x4002_4000;
const XOSC_STATUS: u32 = 0x4002_4004;
const XOSC_STARTUP: u32 = 0x4002_400C;
const CLK_REF_CTRL: u32 = 0x4000_8030;
const CLK_SYS_CTRL: u32 = 0x4000_803C;
const CLK_PERI_CTRL: u32 = 0x4000_8048;
const GPIO0_CTRL: u32 = 0x4001_4004;
const GPIO1_CTRL: u32 = 0x4001_400C;
const UART0_DR: u32 = 0x4003_4000;
const UART0_FR: u32 = 0x4003_4018;
const UART0_IBRD: u32 = 0x4003_4024;
const UART0_FBRD: u32 = 0x4003_4028;
const UART0_LCR_H: u32 = 0x4003_402C;
const UART0_CR: u32 = 0x4003_4030;
/// Reset bits of pins, pads and UART0.
const USED: u32 = 1 << 5 | 1 << 8 | 1 << 22;

/// Prepares the chip: the crystal drives the core and the UART.
pub fn start(_: &mut Peripherals) {
    write(XOSC_STARTUP, 47); // 1 ms: 47 · 256 cycles
    write(XOSC_CTRL, 0x00FA_BAA0); // on, 1 to 15 MHz
    while read(XOSC_STATUS) & 1 << 31 == 0 {}
    write(CLK_REF_CTRL, 2); // the crystal
    write(CLK_SYS_CTRL, 0); // the core's clock comes from there
    write(CLK_PERI_CTRL, 1 << 11 | 4 << 5); // on, the crystal
    write(RESETS_RESET_CLEAR, USED);
    while read(RESETS_DONE) & USED != USED {}
}

/// UART0 on GP0 (transmits) and GP1 (receives), 8N1.
pub struct Uart(());

impl Uart {
    /// Pins and baud rate.
    pub fn open() -> Self {
        write(GPIO0_CTRL, 2); // UART
        write(GPIO1_CTRL, 2);
        write(UART0_IBRD, DIVISOR_64 / 64);
        write(UART0_FBRD, DIVISOR_64 % 64);
        write(UART0_LCR_H, 3 << 5 | 1 << 4); // 8 bits, FIFOs
        write(UART0_CR, 1 << 9 | 1 << 8 | 1 << 0); // receiver, transmitter, on
        Uart(())
    }
}

impl Port for Uart {
    type Error = Infallible;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        for byte in bytes {
            while read(UART0_FR) & 1 << 5 != 0 {}
            write(UART0_DR, u32::from(*byte));
        }
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let Some(first) = bytes.first_mut() else { return Ok(0) };
        for _ in 0..POLLS {
            if read(UART0_FR) & 1 << 4 == 0 {
                *first = read(UART0_DR) as u8;
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
