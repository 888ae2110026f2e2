//! The validator: one pass over the header and table, one over the tensors, one CRC.

use super::layout::{self, CHANNEL, FACTOR, GELU_TABLE, SOFTMAX_TABLE, pad4};
use super::packed::{Layout, MAX_HEADER, PADDING, PanelFacts};
use super::view::Cursor;
use super::{Artifact, ENTRY, FormatError, HEADER, Preprocess, TestVectors, kind};
use crate::fixed::{ACC_LIMIT, Factor, NormRange, pool_shift};
use crate::spec::{EncoderSpec, Pooling};

pub(super) fn parse(bytes: &[u8]) -> Result<Artifact<'_>, FormatError> {
    let (sections, layout) = table(bytes)?;
    let spec_bytes = sections.required(kind::SPEC)?;
    let (spec, time_step) = spec(spec_bytes)?;
    let preprocess = preprocess(sections.required(kind::PREPROCESS)?, &spec)?;

    let front = sections.required(kind::FRONT)?.exactly(layout::front_bytes(&spec, layout))?;
    let blocks = sections.required(kind::BLOCKS)?.exactly(spec.depth as u64 * layout::block_bytes(&spec, layout))?;
    let head = sections.required(kind::HEAD)?.exactly(layout::head_bytes(&spec))?;
    let standardisation =
        sections.optional(kind::STANDARDISATION).map(|s| s.exactly(4 * spec.embedding() as u64)).transpose()?;
    let basis = (spec.rank as u64 + 1) * spec.patch_values() as u64 + 1;
    let pca_basis = sections.optional(kind::PCA_BASIS).map(|s| s.exactly(pad4(2 * basis))).transpose()?;

    check_front(front, &spec, layout)?;
    let mut at = Walk { section: blocks, used: 0, layout };
    for _ in 0..spec.depth {
        check_block(&mut at, &spec)?;
    }
    check_head(head, &spec)?;
    let norms = sections.optional(kind::NORMS).map(|s| check_norms(s, &spec)).transpose()?;

    let provenance = match sections.optional(kind::PROVENANCE) {
        None => "",
        Some(s) => text(s)?,
    };
    let (pixels, taps, embedding) = (spec.pixels() as usize, spec.taps(), spec.embedding() as usize);
    let mut vectors = TestVectors { bytes: &[], pixels, taps, embedding };
    if let Some(s) = sections.optional(kind::VECTORS) {
        let record = TestVectors::record(pixels, taps, embedding);
        let found = s.bytes.len() as u64;
        if found == 0 || !found.is_multiple_of(record) {
            return Err(FormatError::SectionLength { kind: s.kind, expected: record as u32, found: found as u32 });
        }
        vectors.bytes = s.bytes;
    }
    Ok(Artifact {
        bytes,
        layout,
        spec,
        time_step,
        preprocess,
        front: front.bytes,
        blocks: blocks.bytes,
        head: head.bytes,
        norms: norms.unwrap_or(&[]),
        standardisation: standardisation.map(|s| s.bytes),
        pca_basis: pca_basis.map(|s| s.bytes),
        provenance,
        vectors,
    })
}

/// A section: its kind, its offset in the file (for errors) and its bytes.
#[derive(Clone, Copy)]
struct Section<'a> {
    kind: u16,
    offset: u32,
    bytes: &'a [u8],
}

impl<'a> Section<'a> {
    fn exactly(self, expected: u64) -> Result<Self, FormatError> {
        if self.bytes.len() as u64 == expected {
            Ok(self)
        } else {
            let expected = u32::try_from(expected).unwrap_or(u32::MAX);
            Err(FormatError::SectionLength { kind: self.kind, expected, found: self.bytes.len() as u32 })
        }
    }
}

/// The checked table: entries are contiguous, ascending and in bounds.
struct Sections<'a> {
    bytes: &'a [u8],
    table: &'a [u8],
}

impl<'a> Sections<'a> {
    fn iter(&self) -> impl Iterator<Item = Section<'a>> + use<'a> {
        let bytes = self.bytes;
        self.table.chunks_exact(ENTRY).map(move |entry| {
            let mut c = Cursor(entry);
            let (kind, _flags, offset, length) = (c.u16(), c.u16(), c.u32(), c.u32());
            let body = bytes.get(offset as usize..).and_then(|b| b.get(..length as usize)).unwrap_or(&[]);
            Section { kind, offset, bytes: body }
        })
    }

    fn optional(&self, kind: u16) -> Option<Section<'a>> {
        self.iter().find(|s| s.kind == kind)
    }

    fn required(&self, kind: u16) -> Result<Section<'a>, FormatError> {
        self.optional(kind).ok_or(FormatError::Missing { kind })
    }
}

/// Header and section table; after this every entry lies inside the file and none overlaps.
fn table(bytes: &[u8]) -> Result<(Sections<'_>, Layout), FormatError> {
    let found = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let truncated = |needed: usize| FormatError::Truncated { needed: needed as u32, found };
    let magic = bytes.get(..4).ok_or(truncated(HEADER))?;
    if magic == b"EADL" || magic == b"DLEA" {
        return Err(FormatError::WrongEndianness);
    }
    if magic != super::MAGIC {
        return Err(FormatError::BadMagic);
    }
    let mut c = Cursor(bytes.get(4..HEADER).ok_or(truncated(HEADER))?);
    let (major, minor) = (c.u16(), c.u16());
    if major != super::VERSION.0 || minor > super::VERSION.1 {
        return Err(FormatError::Version { major, minor });
    }
    let (declared, crc) = (c.u32(), c.u32());
    if declared != found {
        return Err(FormatError::Length { declared, found });
    }
    let actual = crate::crc::crc32(bytes.get(16..).unwrap_or(&[]));
    if crc != actual {
        return Err(FormatError::Crc { declared: crc, found: actual });
    }
    let (rules, weights) = (c.u16(), c.u16());
    let layout = match Layout::from_code(weights) {
        Some(layout) if rules == super::RULES => layout,
        _ => return Err(FormatError::UnknownRules { rules, layout: weights }),
    };
    let (count, flags) = (c.u16(), c.u16());
    if count == 0 || count > super::MAX_SECTIONS {
        return Err(FormatError::Sections { at: 20 });
    }
    if flags != 0 || c.u32() != 0 || c.u32() != 0 {
        return Err(FormatError::Field { at: 22 });
    }
    let table_end = HEADER + ENTRY * count as usize;
    let table = bytes.get(HEADER..table_end).ok_or(truncated(table_end))?;
    let mut next = table_end as u32;
    let mut last_kind = 0;
    for (i, entry) in table.chunks_exact(ENTRY).enumerate() {
        let malformed = FormatError::Sections { at: (HEADER + ENTRY * i) as u32 };
        let mut c = Cursor(entry);
        let (kind, flags, offset, length, reserved) = (c.u16(), c.u16(), c.u32(), c.u32(), c.u32());
        let required = flags == 1;
        if kind <= last_kind || flags > 1 || reserved != 0 || offset != next || !length.is_multiple_of(4) {
            return Err(malformed);
        }
        let known_required = kind::is_required(kind);
        let known_optional = matches!(kind, kind::STANDARDISATION | kind::PCA_BASIS | kind::PROVENANCE | kind::VECTORS);
        if required && !known_required {
            return Err(if known_optional { malformed } else { FormatError::UnknownRequired { kind } });
        }
        if known_required && !required {
            return Err(malformed);
        }
        last_kind = kind;
        next = next.checked_add(length).filter(|&n| n <= found).ok_or(malformed)?;
    }
    if next != found {
        return Err(FormatError::Length { declared: next, found });
    }
    Ok((Sections { bytes, table }, layout))
}

fn spec(section: Section<'_>) -> Result<(EncoderSpec, u16), FormatError> {
    let section = section.exactly(layout::SPEC)?;
    let mut c = Cursor(section.bytes);
    let (image, channels, pooling, patch) = (c.u16(), c.u8(), c.u8(), c.u16());
    let (rank, width, depth, heads) = (c.u16(), c.u16(), c.u16(), c.u16());
    let (mlp_ratio, reserved, time_step) = (c.u8(), c.u8(), c.u16());
    let pooling = Pooling::from_code(pooling).ok_or(FormatError::Field { at: section.offset + 3 })?;
    if reserved != 0 || time_step > 1000 || c.0.iter().any(|&b| b != 0) {
        return Err(FormatError::Field { at: section.offset + 15 });
    }
    let spec = EncoderSpec { image, channels, patch, rank, width, depth, heads, mlp_ratio, pooling };
    spec.check().map_err(FormatError::Spec)?;
    Ok((spec, time_step))
}

/// Colour order (0 grey, 1 RGB), byte order (0 HWC), resize rule, patch order (0 row-major), pixel offset 128; rest zero.
fn preprocess(section: Section<'_>, spec: &EncoderSpec) -> Result<Preprocess, FormatError> {
    let section = section.exactly(layout::PREPROCESS)?;
    let mut c = Cursor(section.bytes);
    let (colour, order, resize, patches, offset) = (c.u8(), c.u8(), c.u8(), c.u8(), c.u8());
    let known = colour == u8::from(spec.channels == 3) && order == 0 && resize <= 1 && patches == 0 && offset == 128;
    if !known || c.0.iter().any(|&b| b != 0) {
        return Err(FormatError::Field { at: section.offset });
    }
    Ok(Preprocess { resize })
}

fn text(section: Section<'_>) -> Result<&str, FormatError> {
    let bad = FormatError::Field { at: section.offset };
    if section.bytes.len() > super::MAX_PROVENANCE {
        return Err(bad);
    }
    // Zeros pad to four at the end only.
    let end = section.bytes.iter().position(|&b| b == 0).unwrap_or(section.bytes.len());
    let (body, pad) = section.bytes.split_at_checked(end).ok_or(bad)?;
    if pad.len() > 3 || pad.iter().any(|&b| b != 0) {
        return Err(bad);
    }
    let text = core::str::from_utf8(body).map_err(|_| bad)?;
    // Printable ASCII and line feeds only: nothing that a terminal would act on.
    if text.bytes().all(|b| b == b'\n' || (b' '..=b'~').contains(&b)) { Ok(text) } else { Err(bad) }
}

/// A position in a section, advancing; `take` cannot run past the end because lengths were compared before.
struct Walk<'a> {
    section: Section<'a>,
    used: usize,
    layout: Layout,
}

impl<'a> Walk<'a> {
    fn at(&self) -> u32 {
        self.section.offset + self.used as u32
    }

    /// The next `bytes` bytes; the padding behind them (to four, packed to sixteen) must be zero.
    fn take(&mut self, bytes: u64) -> Result<&'a [u8], FormatError> {
        let at = self.at();
        let rest = self.section.bytes.get(self.used..).unwrap_or(&[]);
        let (padded, _) = rest.split_at_checked(self.layout.pad(bytes) as usize).ok_or(FormatError::Field { at })?;
        let (body, pad) = padded.split_at_checked(bytes as usize).ok_or(FormatError::Field { at })?;
        if pad.iter().any(|&b| b != 0) {
            return Err(FormatError::Field { at });
        }
        self.used += padded.len();
        Ok(body)
    }

    fn factor(&mut self) -> Result<(), FormatError> {
        let at = self.at();
        check_factor(self.take(FACTOR)?, at)
    }

    /// Rule 2 for every channel; `top` is the largest magnitude of an input (127, or 128 for pixels).
    fn linear(&mut self, outputs: u32, inputs: u32, top: u32) -> Result<(), FormatError> {
        if self.layout.is_canonical() { self.rows(outputs, inputs, top) } else { self.panels(outputs, inputs, top) }
    }

    /// A packed layer: values as in a canonical one, headers and padding as they imply.
    fn panels(&mut self, outputs: u32, inputs: u32, top: u32) -> Result<(), FormatError> {
        let (layout, mut at) = (self.layout, self.at());
        let panel_bytes = layout.panel_bytes(inputs as usize).max(1);
        let panels = self.take(layout.linear_bytes(outputs, inputs))?;
        let mut left = outputs as usize;
        for panel in panels.chunks_exact(panel_bytes) {
            let facts = PanelFacts::of(layout, panel, inputs as usize, top);
            if facts.largest > 127 {
                return Err(FormatError::Code { at });
            }
            for (c, (channel, &sum)) in facts.channels.iter().zip(&facts.magnitudes).enumerate() {
                if Factor::new(channel.m, channel.t).is_none() {
                    return Err(FormatError::Factor { at });
                }
                if u64::from(top) * u64::from(sum) + u64::from(channel.bias.unsigned_abs()) > ACC_LIMIT as u64 {
                    return Err(FormatError::Accumulator { at });
                }
                if c >= left && (sum != 0 || *channel != PADDING) {
                    return Err(FormatError::Panel { at });
                }
            }
            let mut header = [0; MAX_HEADER];
            layout.put_header(&facts, &mut header);
            if !facts.clean || header.get(..layout.header()) != panel.get(..layout.header()) {
                return Err(FormatError::Panel { at });
            }
            left = left.saturating_sub(layout.channels());
            at += panel_bytes as u32;
        }
        Ok(())
    }

    fn rows(&mut self, outputs: u32, inputs: u32, top: u32) -> Result<(), FormatError> {
        let (records_at, records) = (self.at(), self.take(outputs as u64 * CHANNEL)?);
        let (weights_at, weights) = (self.at(), self.take(outputs as u64 * inputs as u64)?);
        let rows = weights.chunks_exact((inputs as usize).max(1));
        for (i, (record, row)) in records.chunks_exact(CHANNEL as usize).zip(rows).enumerate() {
            let at = records_at + i as u32 * CHANNEL as u32;
            let mut c = Cursor(record);
            let bias = c.u32() as i32;
            check_factor(c.0, at + 4)?;
            // At most 8192 inputs of magnitude 128: the sum stays below 2^21, the product below 2^28.
            let mut sum = 0u32;
            for (j, &w) in row.iter().enumerate() {
                if w == 0x80 {
                    return Err(FormatError::Code { at: weights_at + i as u32 * inputs + j as u32 });
                }
                sum += u32::from((w as i8).unsigned_abs());
            }
            if u64::from(top) * u64::from(sum) + u64::from(bias.unsigned_abs()) > ACC_LIMIT as u64 {
                return Err(FormatError::Accumulator { at });
            }
        }
        Ok(())
    }
}

fn check_factor(bytes: &[u8], at: u32) -> Result<(), FormatError> {
    let mut c = Cursor(bytes);
    let (m, t, pad) = (c.u16(), c.u8(), c.u8());
    if Factor::new(m, t).is_none() || pad != 0 { Err(FormatError::Factor { at }) } else { Ok(()) }
}

fn check_front(section: Section<'_>, s: &EncoderSpec, layout: Layout) -> Result<(), FormatError> {
    let mut walk = Walk { section, used: 0, layout };
    walk.linear(s.rank as u32, s.patch_values(), 128)?;
    walk.linear(s.width as u32, s.rank as u32, 127)?;
    walk.take(s.tokens() as u64 * s.width as u64 * 2)?; // any i16 is a valid position: the addition saturates
    Ok(())
}

fn check_block(walk: &mut Walk<'_>, s: &EncoderSpec) -> Result<(), FormatError> {
    let w = s.width as u32;
    if walk.layout.is_canonical() {
        walk.linear(3 * w, w, 127)?;
    } else {
        walk.linear(w, w, 127)?;
        for _ in 0..2 * s.heads {
            walk.linear(s.head_width().into(), w, 127)?;
        }
    }
    walk.factor()?;
    let at = walk.at();
    let table = walk.take(SOFTMAX_TABLE)?;
    // The row maximum always reads entry 0, so a normalised entry 0 keeps every row sum positive.
    if Cursor(table).u16() < 1 << 15 {
        return Err(FormatError::Table { at });
    }
    walk.factor()?;
    walk.linear(w, w, 127)?;
    walk.linear(s.hidden(), w, 127)?;
    let at = walk.at();
    let gelu = walk.take(GELU_TABLE)?;
    if let Some(i) = gelu.iter().position(|&c| c == 0x80) {
        return Err(FormatError::Code { at: at + i as u32 });
    }
    walk.linear(w, s.hidden(), 127)
}

fn check_head(section: Section<'_>, s: &EncoderSpec) -> Result<(), FormatError> {
    let pooled = (127 * u64::from(s.pooled_tokens())) << pool_shift(s.pooled_tokens());
    for (i, record) in section.bytes.chunks_exact(CHANNEL as usize).enumerate() {
        let at = section.offset + i as u32 * CHANNEL as u32;
        let mut c = Cursor(record);
        let bias = c.u32() as i32;
        check_factor(c.0, at + 4)?;
        if pooled + u64::from(bias.unsigned_abs()) > ACC_LIMIT as u64 {
            return Err(FormatError::Accumulator { at });
        }
    }
    Ok(())
}

/// One range a LayerNorm, then zeros.
fn check_norms<'a>(section: Section<'a>, s: &EncoderSpec) -> Result<&'a [u8], FormatError> {
    let count = layout::norms(s);
    let section = section.exactly(pad4(count as u64))?;
    let at = |i: usize| FormatError::Field { at: section.offset + i as u32 };
    let (ranges, pad) = section.bytes.split_at_checked(count).ok_or(at(0))?;
    match ranges.iter().position(|&r| NormRange::new(r).is_none()) {
        Some(i) => Err(at(i)),
        None if pad.iter().any(|&b| b != 0) => Err(at(count)),
        None => Ok(ranges),
    }
}
