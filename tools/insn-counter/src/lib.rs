//! A QEMU plugin that counts executed instructions exactly, per address and stage.
//!
//!     qemu-system-arm ... -plugin target/release/libldae_insn_counter.so,out=counts.txt
//!
//! Every instruction that is translated gets an inline addition to a counter of its own. Marker instructions in the firmware
//! ([`marker`]) say which stage begins; what ran since the last one is added to the stage before. Markers themselves are not
//! counted. At the end the report ([`counts::Counts::report`]) is written to `out`.
//!
//! Refused: a machine of more than one processor, an instruction set without markers. `ldae bench --device` builds and
//! uses this plugin by itself.

mod api;
mod counts;
mod marker;

use counts::{ADDRESSES, Counts};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::{Mutex, OnceLock};

/// Read by QEMU before anything else.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static qemu_plugin_version: c_int = api::VERSION;

/// What the callbacks share.
struct State {
    counts: Mutex<Counts>,
    scoreboard: *mut api::Scoreboard,
    out: String,
    riscv: bool,
}

// SAFETY: the scoreboard pointer is only handed back to QEMU, which allows that from any thread.
unsafe impl Send for State {}
// SAFETY: as above; everything else is behind the mutex or constant.
unsafe impl Sync for State {}

static STATE: OnceLock<State> = OnceLock::new();

/// Called by QEMU once. `info` begins with the name of the emulated architecture.
///
/// # Safety
/// QEMU passes a valid `info` and `argc` valid strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: api::Id,
    info: *const *const c_char,
    argc: c_int,
    argv: *const *const c_char,
) -> c_int {
    // SAFETY: the first field of qemu_info_t is the target's name, a C string.
    let target = unsafe { CStr::from_ptr(*info) }.to_string_lossy().into_owned();
    let mut out = None;
    for i in 0..argc as usize {
        // SAFETY: argv has argc strings.
        let argument = unsafe { CStr::from_ptr(*argv.add(i)) }.to_string_lossy().into_owned();
        match argument.strip_prefix("out=") {
            Some(path) => out = Some(path.to_owned()),
            None => return refuse(&format!("unknown argument {argument}; the only one is out=FILE")),
        }
    }
    let Some(out) = out else { return refuse("give out=FILE") };
    let riscv = target.starts_with("riscv");
    if !riscv && target != "arm" {
        return refuse(&format!("no markers are known for {target}"));
    }
    // SAFETY: QEMU zeroes the memory and keeps it until the end.
    let scoreboard = unsafe { api::qemu_plugin_scoreboard_new(ADDRESSES * size_of::<u64>()) };
    let state = State { counts: Mutex::new(Counts::new()), scoreboard, out, riscv };
    if STATE.set(state).is_err() {
        return refuse("loaded twice");
    }
    // SAFETY: both callbacks live as long as the plugin.
    unsafe {
        api::qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
        api::qemu_plugin_register_atexit_cb(id, finished, std::ptr::null_mut());
    }
    0
}

fn refuse(why: &str) -> c_int {
    eprintln!("ldae-insn-counter: {why}");
    1
}

/// Gives every instruction of a new block its counter, and every marker its callback.
extern "C" fn translated(_: api::Id, block: *mut api::Block) {
    let Some(state) = STATE.get() else { return };
    let Ok(mut counts) = state.counts.lock() else { return };
    // SAFETY: block and instructions are valid during this call, as QEMU's interface says.
    unsafe {
        for i in 0..api::qemu_plugin_tb_n_insns(block) {
            let instruction = api::qemu_plugin_tb_get_insn(block, i);
            let mut bytes = [0u8; 4];
            let size = api::qemu_plugin_insn_size(instruction).min(bytes.len());
            api::qemu_plugin_insn_data(instruction, bytes.as_mut_ptr().cast(), size);
            if let Some(stage) = marker::stage(&bytes[..size], state.riscv) {
                let data = stage as *mut c_void;
                api::qemu_plugin_register_vcpu_insn_exec_cb(instruction, marked, api::NO_REGISTERS, data);
                continue;
            }
            let address = api::qemu_plugin_insn_vaddr(instruction);
            if let Some(index) = counts.counter(address, || disassembly(instruction)) {
                let counter = api::Counter { score: state.scoreboard, offset: index * size_of::<u64>() };
                api::qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(instruction, api::INLINE_ADD, counter, 1);
            }
        }
    }
}

/// # Safety
/// `instruction` is valid.
unsafe fn disassembly(instruction: *const api::Instruction) -> String {
    // SAFETY: the caller's; QEMU returns null or a C string that is ours to free.
    unsafe {
        let text = api::qemu_plugin_insn_disas(instruction);
        if text.is_null() {
            return String::new();
        }
        let owned = CStr::from_ptr(text).to_string_lossy().replace('\n', " ");
        api::free(text.cast());
        owned
    }
}

/// A marker was reached; `stage` travels in the data pointer.
extern "C" fn marked(processor: c_uint, stage: *mut c_void) {
    let Some(state) = STATE.get() else { return };
    let Ok(mut counts) = state.counts.lock() else { return };
    // SAFETY: the element has ADDRESSES counters, and no other processor writes this one.
    let now = unsafe {
        let element = api::qemu_plugin_scoreboard_find(state.scoreboard, processor);
        std::slice::from_raw_parts(element.cast::<u64>(), ADDRESSES)
    };
    counts.mark(now, stage as usize);
}

/// QEMU ends: write the report. A file that cannot be written is seen by the host, which finds none.
extern "C" fn finished(_: api::Id, _: *mut c_void) {
    let Some(state) = STATE.get() else { return };
    let Ok(counts) = state.counts.lock() else { return };
    if let Err(e) = std::fs::write(&state.out, counts.report()) {
        eprintln!("ldae-insn-counter: cannot write {}: {e}", state.out);
    }
}
