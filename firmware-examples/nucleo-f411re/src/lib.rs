//! What is particular to the board: nothing at startup (the core runs at 16 MHz from reset on), and USART2, which the
//! ST-LINK shows the host as a serial port. Register addresses: RM0383 (reference manual of the STM32F411).
#![no_std]

use core::convert::Infallible;
use cortex_m::Peripherals;
use ldae_example_app::serial::{BAUD, Port};

/// Internal oscillator, clock of core and buses after reset.
const HERTZ: u32 = 16_000_000;
/// About ten cycles each: a quarter of a second.
const POLLS: u32 = HERTZ / 4 / 10;

const RCC_AHB1ENR: u32 = 0x4002_3830;
const RCC_APB1ENR: u32 = 0x4002_3840;
const GPIOA_MODER: u32 = 0x4002_0000;
const GPIOA_AFRL: u32 = 0x4002_0020;
const USART2_SR: u32 = 0x4000_4400;
const USART2_DR: u32 = 0x4000_4404;
const USART2_BRR: u32 = 0x4000_4408;
const USART2_CR1: u32 = 0x4000_440C;

/// Prepares the chip.
pub fn start(_: &mut Peripherals) {}

/// USART2 on PA2 and PA3, 8N1.
pub struct Uart(());

impl Uart {
    /// Clocks, pins, baud rate.
    pub fn open() -> Self {
        modify(RCC_AHB1ENR, 0, 1 << 0); // GPIOA
        modify(RCC_APB1ENR, 0, 1 << 17); // USART2
        modify(GPIOA_MODER, 0xF << 4, 0xA << 4); // PA2, PA3: alternate function
        modify(GPIOA_AFRL, 0xFF << 8, 0x77 << 8); // number 7
        write(USART2_BRR, (HERTZ + BAUD / 2) / BAUD);
        write(USART2_CR1, 1 << 13 | 1 << 3 | 1 << 2); // on, transmitter, receiver
        Uart(())
    }
}

impl Port for Uart {
    type Error = Infallible;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        for byte in bytes {
            while read(USART2_SR) & 1 << 7 == 0 {}
            write(USART2_DR, u32::from(*byte));
        }
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let Some(first) = bytes.first_mut() else { return Ok(0) };
        for _ in 0..POLLS {
            if read(USART2_SR) & 1 << 5 != 0 {
                *first = read(USART2_DR) as u8; // after the status: clears an overrun too
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

fn modify(register: u32, clear: u32, set: u32) {
    write(register, (read(register) & !clear) | set);
}
