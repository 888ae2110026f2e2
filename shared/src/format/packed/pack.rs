//! `pack`: a canonical artifact to another weight layout. Values, provenance, vectors and identity stay.

use super::{Layout, MAX_CHANNELS, PADDING, PanelFacts, dot, helium, pairs, two_lane};
use crate::format::linear::{Channel, Linear};
use crate::format::view::Artifact;
use crate::format::{FormatError, WriteError, kind, write};
use crate::spec::EncoderSpec;
use alloc::vec::Vec;

/// Why an artifact was not packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackError {
    /// The source is not a valid artifact.
    Source(FormatError),
    /// The source is packed already.
    Packed(Layout),
    /// The result was refused (it exceeds 4 GiB, or this code is wrong).
    Write(WriteError),
}

impl core::fmt::Display for PackError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            PackError::Source(e) => write!(f, "{e}"),
            PackError::Packed(layout) => {
                write!(f, "already packed as {}: pack the canonical artifact instead", layout.name())
            }
            PackError::Write(e) => write!(f, "{e}"),
        }
    }
}

impl core::error::Error for PackError {}

/// Packs a canonical artifact. The header keeps the identity of the canonical one: it is the same model.
///
/// # Errors
/// The source is refused or packed already.
pub fn pack(bytes: &[u8], layout: Layout) -> Result<Vec<u8>, PackError> {
    let source = Artifact::parse(bytes).map_err(PackError::Source)?;
    if !source.layout().is_canonical() {
        return Err(PackError::Packed(source.layout()));
    }
    if layout.is_canonical() {
        return Ok(bytes.to_vec());
    }
    let spec = source.spec();
    let mut sections = Vec::new();
    for (kind, required, body) in source.section_bodies() {
        let bytes = match kind {
            kind::FRONT => front(&source, spec, layout),
            kind::BLOCKS => blocks(&source, spec, layout),
            _ => body.to_vec(),
        };
        sections.push(write::Section { kind, required, bytes });
    }
    let identity = source.identity();
    write::assemble(&sections, layout, |_| identity).map_err(PackError::Write)
}

fn pad(out: &mut Vec<u8>, layout: Layout) {
    out.resize(layout.pad(out.len() as u64) as usize, 0);
}

fn front(source: &Artifact<'_>, spec: &EncoderSpec, layout: Layout) -> Vec<u8> {
    let (front, mut out) = (source.front(), Vec::new());
    // Centred pixels reach −128.
    linear(&mut out, &front.project, layout, 128);
    linear(&mut out, &front.embed, layout, 127);
    debug_assert_eq!(front.positions().len() as u64, u64::from(spec.tokens()) * u64::from(spec.width));
    out.extend(front.positions().flat_map(i16::to_le_bytes));
    pad(&mut out, layout);
    out
}

fn blocks(source: &Artifact<'_>, spec: &EncoderSpec, layout: Layout) -> Vec<u8> {
    let mut out = Vec::new();
    for block in source.blocks() {
        linear(&mut out, &block.queries(), layout, 127);
        for head in 0..usize::from(spec.heads) {
            linear(&mut out, &block.keys(head), layout, 127);
            linear(&mut out, &block.head_values(head), layout, 127);
        }
        write::put_factor(&mut out, block.logits);
        pad(&mut out, layout);
        out.extend_from_slice(block.softmax_table());
        write::put_factor(&mut out, block.values);
        pad(&mut out, layout);
        linear(&mut out, &block.proj, layout, 127);
        linear(&mut out, &block.fc1, layout, 127);
        out.extend_from_slice(block.gelu_table());
        linear(&mut out, &block.fc2, layout, 127);
    }
    out
}

/// Appends a canonical layer as panels.
fn linear(out: &mut Vec<u8>, layer: &Linear<'_>, layout: Layout, top: u32) {
    let panel_bytes = layout.panel_bytes(layer.inputs);
    let rows: Vec<(Channel, &[u8])> = layer.rows().collect();
    for rows in rows.chunks(layout.channels()) {
        let mut panel = alloc::vec![0u8; panel_bytes];
        let mut channels = [PADDING; MAX_CHANNELS];
        for (c, (channel, weights)) in rows.iter().enumerate() {
            channels[c] = *channel;
            for (k, &w) in weights.iter().enumerate() {
                put_weight(layout, &mut panel, c, k, w as i8);
            }
        }
        let facts = PanelFacts { channels, ..PanelFacts::of(layout, &panel, layer.inputs, top) };
        layout.put_header(&facts, &mut panel);
        out.extend_from_slice(&panel);
    }
}

fn put_weight(layout: Layout, panel: &mut [u8], c: usize, k: usize, w: i8) {
    match layout {
        Layout::Canonical => {}
        Layout::Pairs => pairs::put_weight(panel, c, k, w),
        Layout::Helium => helium::put_weight(panel, c, k, w),
        Layout::TwoLane => two_lane::put_weight(panel, c, k, w),
        Layout::Dot => dot::put_weight(panel, c, k, w),
    }
}
