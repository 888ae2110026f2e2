//! What is particular to the board: the caches of the core (which runs at 64 MHz from reset on), and USART3, which the
//! ST-LINK shows the host as a serial port. Register addresses: RM0433 (reference manual of the STM32H743).
#![no_std]

use core::convert::Infallible;
use cortex_m::Peripherals;
use ldae_example_app::serial::{BAUD, Port};

/// Internal oscillator, clock of core and buses after reset.
const HERTZ: u32 = 64_000_000;
/// About ten cycles each: a quarter of a second.
const POLLS: u32 = HERTZ / 4 / 10;

const RCC_AHB4ENR: u32 = 0x5802_44E0;
const RCC_APB1LENR: u32 = 0x5802_44E8;
const GPIOD_MODER: u32 = 0x5802_0C00;
const GPIOD_AFRH: u32 = 0x5802_0C24;
const USART3_CR1: u32 = 0x4000_4800;
const USART3_BRR: u32 = 0x4000_480C;
const USART3_ISR: u32 = 0x4000_481C;
const USART3_ICR: u32 = 0x4000_4820;
const USART3_RDR: u32 = 0x4000_4824;
const USART3_TDR: u32 = 0x4000_4828;

/// Prepares the chip: instruction and data cache on; weights are read from flash through them.
pub fn start(peripherals: &mut Peripherals) {
    peripherals.SCB.enable_icache();
    peripherals.SCB.enable_dcache(&mut peripherals.CPUID);
}

/// USART3 on PD8 and PD9, 8N1.
pub struct Uart(());

impl Uart {
    /// Clocks, pins, baud rate.
    pub fn open() -> Self {
        modify(RCC_AHB4ENR, 0, 1 << 3); // GPIOD
        modify(RCC_APB1LENR, 0, 1 << 18); // USART3
        // The clocks need two bus cycles before the first access: reading back waits for them.
        read(RCC_AHB4ENR);
        read(RCC_APB1LENR);
        modify(GPIOD_MODER, 0xF << 16, 0xA << 16); // PD8, PD9: alternate function
        modify(GPIOD_AFRH, 0xFF, 0x77); // number 7
        write(USART3_BRR, (HERTZ + BAUD / 2) / BAUD);
        write(USART3_CR1, 1 << 3 | 1 << 2 | 1 << 0); // transmitter, receiver, on
        Uart(())
    }
}

impl Port for Uart {
    type Error = Infallible;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Infallible> {
        for byte in bytes {
            while read(USART3_ISR) & 1 << 7 == 0 {}
            write(USART3_TDR, u32::from(*byte));
        }
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, Infallible> {
        let Some(first) = bytes.first_mut() else { return Ok(0) };
        for _ in 0..POLLS {
            write(USART3_ICR, 1 << 3); // forget an overrun
            if read(USART3_ISR) & 1 << 5 != 0 {
                *first = read(USART3_RDR) as u8;
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
