//! The part of QEMU's plugin interface that is used here, declared by hand: no header is needed to build.
//!
//! Source: `include/qemu/qemu-plugin.h` of QEMU 10.0 (interface version 4; scoreboards came with QEMU 9.0). QEMU's executable
//! exports these functions, so nothing is linked.

use std::ffi::{c_char, c_int, c_uint, c_void};

/// Interface version this plugin was written for; QEMU refuses a plugin of a version that it does not know.
pub const VERSION: c_int = 4;

/// Identity of a loaded plugin.
pub type Id = u64;

/// A translated run of instructions.
#[repr(C)]
pub struct Block {
    _private: [u8; 0],
}

/// One instruction of it.
#[repr(C)]
pub struct Instruction {
    _private: [u8; 0],
}

/// Memory of one element for each virtual processor.
#[repr(C)]
pub struct Scoreboard {
    _private: [u8; 0],
}

/// A u64 inside a scoreboard's element.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Counter {
    /// The scoreboard.
    pub score: *mut Scoreboard,
    /// Offset in its element, bytes.
    pub offset: usize,
}

/// `QEMU_PLUGIN_INLINE_ADD_U64`.
pub const INLINE_ADD: c_int = 0;
/// `QEMU_PLUGIN_CB_NO_REGS`.
pub const NO_REGISTERS: c_int = 0;

unsafe extern "C" {
    pub fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, callback: extern "C" fn(Id, *mut Block));
    pub fn qemu_plugin_register_atexit_cb(id: Id, callback: extern "C" fn(Id, *mut c_void), data: *mut c_void);
    pub fn qemu_plugin_tb_n_insns(block: *const Block) -> usize;
    pub fn qemu_plugin_tb_get_insn(block: *const Block, index: usize) -> *mut Instruction;
    pub fn qemu_plugin_insn_data(instruction: *const Instruction, to: *mut c_void, bytes: usize) -> usize;
    pub fn qemu_plugin_insn_size(instruction: *const Instruction) -> usize;
    pub fn qemu_plugin_insn_vaddr(instruction: *const Instruction) -> u64;
    /// To be freed with `free`.
    pub fn qemu_plugin_insn_disas(instruction: *const Instruction) -> *mut c_char;
    pub fn qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
        instruction: *mut Instruction,
        operation: c_int,
        counter: Counter,
        operand: u64,
    );
    pub fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut Instruction,
        callback: extern "C" fn(c_uint, *mut c_void),
        flags: c_int,
        data: *mut c_void,
    );
    pub fn qemu_plugin_scoreboard_new(element_bytes: usize) -> *mut Scoreboard;
    pub fn qemu_plugin_scoreboard_find(score: *mut Scoreboard, processor: c_uint) -> *mut c_void;
    pub fn free(memory: *mut c_void);
}
