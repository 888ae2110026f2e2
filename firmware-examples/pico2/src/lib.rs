//! What is particular to the board: the image definition, the crystal, and UART0 on the board's pins 1 and 2. Register
//! addresses and the definition: RP2350 datasheet (section "Minimum Arm image metadata").
#![no_std]

use core::convert::Infallible;
use cortex_m::Peripherals;
use ldae_example_app::serial::{BAUD, Port};

/// Tells the boot ROM: an executable for the Arm cores, secure; one block that links to itself.
#[unsafe(link_section = ".start_block")]
#[used]
static IMAGE: [u32; 5] = [0xFFFF_DED3, 0x1021_0142, 0x0000_01FF, 0x0000_0000, 0xAB12_3579];

/// The crystal, clock of core and UART after [`start`].
const HERTZ: u32 = 12_000_000;
/// About ten cycles each: a quarter of a second.
const POLLS: u32 = HERTZ / 4 / 10;
/// Baud rate divisor in 64ths: HERTZ / (16 · BAUD).
const DIVISOR_64: u32 = (HERTZ * 4 + BAUD / 2) / BAUD;

/// The alias of RESETS_RESET whose ones clear bits.
const RESETS_RESET_CLEAR: u32 = 0x4002_3000;
const RESETS_DONE: u32 = 0x4002_0008;
const XOSC_CTRL: u32 = 0x4004_8000;
const XOSC_STATUS: u32 = 0x4004_8004;
const XOSC_STARTUP: u32 = 0x4004_800C;
const CLK_REF_CTRL: u32 = 0x4001_0030;
const CLK_SYS_CTRL: u32 = 0x4001_003C;
const CLK_PERI_CTRL: u32 = 0x4001_0048;
const GPIO0_CTRL: u32 = 0x4002_8004;
const GPIO1_CTRL: u32 = 0x4002_800C;
const PAD0: u32 = 0x4003_8004;
const PAD1: u32 = 0x4003_8008;
const UART0_DR: u32 = 0x4007_0000;
const UART0_FR: u32 = 0x4007_0018;
const UART0_IBRD: u32 = 0x4007_0024;
const UART0_FBRD: u32 = 0x4007_0028;
const UART0_LCR_H: u32 = 0x4007_002C;
const UART0_CR: u32 = 0x4007_0030;
/// Reset bits of pins, pads and UART0.
const USED: u32 = 1 << 6 | 1 << 9 | 1 << 26;

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
        write(PAD0, 1 << 6 | 1 << 4 | 1 << 1); // input on, 4 mA, Schmitt trigger; no isolation
        write(PAD1, 1 << 6 | 1 << 4 | 1 << 1);
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
