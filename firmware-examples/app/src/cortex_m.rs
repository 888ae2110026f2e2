//! What Arm boards share: the core's name, and a cycle counter.
#![allow(unsafe_code)] // registers of the core

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use cortex_m::Peripherals;
use cortex_m::peripheral::syst::SystClkSource;
use cortex_m::peripheral::{CPUID, SYST};

/// The core, as its CPUID register names it.
pub fn core_name() -> &'static str {
    // SAFETY: the CPUID base register can be read at any time and reading it has no effect.
    let cpuid = unsafe { (*CPUID::PTR).base.read() };
    // Part number, bits 15..4 (Arm architecture reference manuals, CPUID).
    match (cpuid >> 4) & 0xFFF {
        0xC20 => "cortex-m0",
        0xC60 => "cortex-m0+",
        0xC23 => "cortex-m3",
        0xC24 => "cortex-m4",
        0xC27 => "cortex-m7",
        0xD21 => "cortex-m33",
        0xD22 => "cortex-m55",
        _ => "unknown Cortex-M",
    }
}

/// Lowest address of the stack: behind the statics, or, where flip-link has put the stack below them, the start of RAM.
pub fn stack_end() -> usize {
    unsafe extern "C" {
        /// Start and end of the statics (cortex-m-rt), start of RAM (memory.x).
        static __sdata: u8;
        static __sheap: u8;
        static _ram_start: u8;
    }
    let here = core::hint::black_box(0u8);
    let below_statics = (&raw const here as usize) < (&raw const __sdata as usize);
    if below_statics { &raw const _ram_start as usize } else { &raw const __sheap as usize }
}

/// SysTick counts 24 bits down.
const SYSTICK: u32 = 0x00FF_FFFF;
static SYSTICK_TURNS: AtomicU32 = AtomicU32::new(0);
static USE_DWT: AtomicBool = AtomicBool::new(false);

/// Starts the cycle counter: CYCCNT of the DWT where it counts, else SysTick with the core's clock (Armv6-M has no
/// CYCCNT; some cores and emulators have one that reads 0 for ever). Returns which.
pub fn start_cycles(peripherals: &mut Peripherals) -> &'static str {
    let systick = &mut peripherals.SYST;
    systick.set_clock_source(SystClkSource::Core);
    systick.set_reload(SYSTICK);
    systick.clear_current();
    systick.enable_counter();
    systick.enable_interrupt();
    let dwt = start_dwt(peripherals);
    USE_DWT.store(dwt, Ordering::Relaxed);
    if dwt {
        peripherals.SYST.disable_interrupt();
        peripherals.SYST.disable_counter();
        "DWT"
    } else {
        "SysTick"
    }
}

#[cfg(not(armv6m))]
fn start_dwt(peripherals: &mut Peripherals) -> bool {
    use cortex_m::peripheral::DWT;
    peripherals.DCB.enable_trace();
    #[cfg(armv7m)]
    DWT::unlock(); // the Cortex-M7 locks it
    peripherals.DWT.set_cycle_count(0);
    peripherals.DWT.enable_cycle_counter();
    let before = DWT::cycle_count();
    cortex_m::asm::delay(64);
    DWT::cycle_count() != before
}

#[cfg(armv6m)]
fn start_dwt(_: &mut Peripherals) -> bool {
    false
}

/// Cycles since [`start_cycles`]; CYCCNT starts again at 0 after 2^32.
pub fn cycles() -> Option<u64> {
    #[cfg(not(armv6m))]
    if USE_DWT.load(Ordering::Relaxed) {
        return Some(u64::from(cortex_m::peripheral::DWT::cycle_count()));
    }
    loop {
        let before = SYSTICK_TURNS.load(Ordering::Relaxed);
        let passed = SYSTICK - SYST::get_current();
        if SYSTICK_TURNS.load(Ordering::Relaxed) == before {
            return Some(u64::from(before) * u64::from(SYSTICK + 1) + u64::from(passed));
        }
    }
}

#[cortex_m_rt::exception]
fn SysTick() {
    // One core, and nobody else writes: no read-modify-write is needed (Armv6-M has none).
    SYSTICK_TURNS.store(SYSTICK_TURNS.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}
