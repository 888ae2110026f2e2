//! Work memory: the plan's regions, cut from the caller's bytes without `unsafe`.

use super::prefix;
use crate::encoder::EmbedError;
use crate::kernels::{Family, Input, Kernel};
use crate::plan::{ALIGN, SLACK, aligned};
use bytemuck::Pod;
use ldae_shared::spec::EncoderSpec;

/// The fixed regions, and the bytes that the stages lay over each other.
#[derive(Debug)]
pub(crate) struct Work<'a> {
    /// Mean and packed factor of every token's LayerNorm, [N, 2].
    pub(crate) statistics: &'a mut [[i32; 2]],
    /// LayerNorm output of one chunk, i8 [R, W].
    pub(crate) norm: Rows<'a>,
    overlay: &'a mut [u8],
}

/// Rows of one chunk with the kernel's form of them.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    rows: &'a mut [i8],
    form: &'a mut [u8],
    width: usize,
}

impl Rows<'_> {
    /// The first `count` rows, to be written.
    pub(crate) fn rows(&mut self, count: usize) -> Result<&mut [i8], EmbedError> {
        prefix(self.rows, count * self.width)
    }

    /// [`Rows::prepare`], and room for `values` values of the product: where the kernel reads its own form, the rows
    /// are done with and the product lies over them; else it is in `spare`.
    pub(crate) fn prepare_with_room<'s, K: Kernel>(
        &'s mut self,
        count: usize,
        spare: &'s mut [i16],
        values: usize,
    ) -> Result<(Input<'s>, &'s mut [i16]), EmbedError> {
        if !K::FAMILY.has_form() {
            return Ok((self.prepare::<K>(count)?, prefix(spare, values)?));
        }
        K::prepare(prefix(self.rows, count * self.width)?, self.width, self.form);
        let even = self.rows.len() & !1;
        let room = bytemuck::try_cast_slice_mut(prefix(self.rows, even)?).map_err(|_| EmbedError::ScratchAlignment)?;
        Ok((Input { rows: &[], form: self.form, count }, prefix(room, values)?))
    }

    /// The kernel's form, to be written.
    pub(crate) fn form(&mut self) -> &mut [u8] {
        self.form
    }

    /// Other rows of the same width, with the slack behind them, brought into the kernel's form.
    pub(crate) fn prepare_from<'s, K: Kernel>(
        &'s mut self,
        rows: &'s [i8],
        count: usize,
    ) -> Result<Input<'s>, EmbedError> {
        let values = count * self.width;
        let short = EmbedError::Scratch { needed: values, found: rows.len() };
        K::prepare(rows.get(..values).ok_or(short)?, self.width, self.form);
        Ok(Input { rows, form: self.form, count })
    }

    /// Writes the first `count` rows from the kernel's form.
    pub(crate) fn restore<K: Kernel>(&mut self, count: usize) -> Result<(), EmbedError> {
        K::restore(self.form, self.width, prefix(self.rows, count * self.width)?);
        Ok(())
    }

    /// The first `count` rows, whose form was made already.
    pub(crate) fn prepared(&self, count: usize) -> Input<'_> {
        Input { rows: self.rows, form: self.form, count }
    }

    /// Brings the first `count` rows into the kernel's form.
    pub(crate) fn prepare<K: Kernel>(&mut self, count: usize) -> Result<Input<'_>, EmbedError> {
        K::prepare(prefix(self.rows, count * self.width)?, self.width, self.form);
        Ok(self.prepared(count))
    }
}

impl<'a> Work<'a> {
    /// Cuts `bytes`, which must be aligned and as long as the plan says.
    pub(crate) fn new(bytes: &'a mut [u8], spec: &EncoderSpec, family: Family) -> Result<Self, EmbedError> {
        if !bytes.as_ptr().addr().is_multiple_of(ALIGN) {
            return Err(EmbedError::ScratchAlignment);
        }
        let mut region = Region(bytes);
        let statistics = region.take(spec.tokens() as usize)?;
        let width = spec.width as usize;
        let norm = region.rows(family.rows() * width, family.rows(), width, family)?;
        Ok(Work { statistics, norm, overlay: region.0 })
    }

    /// The overlay, to be cut anew by every stage.
    pub(crate) fn region(&mut self) -> Region<'_> {
        Region(self.overlay)
    }

    /// Statistics, LayerNorm rows and the overlay at once.
    pub(crate) fn parts(&mut self) -> (&mut [[i32; 2]], &mut Rows<'a>, Region<'_>) {
        (self.statistics, &mut self.norm, Region(self.overlay))
    }
}

/// Bytes from which aligned regions are taken in order.
#[derive(Debug)]
pub(crate) struct Region<'a>(&'a mut [u8]);

impl<'a> Region<'a> {
    /// The next `count` values; contents are whatever was there.
    pub(crate) fn take<T: Pod>(&mut self, count: usize) -> Result<&'a mut [T], EmbedError> {
        let bytes = count * size_of::<T>();
        let found = self.0.len();
        let short = EmbedError::Scratch { needed: bytes, found };
        let (head, rest) = core::mem::take(&mut self.0).split_at_mut_checked(aligned(bytes)).ok_or(short)?;
        self.0 = rest;
        let head = head.get_mut(..bytes).ok_or(short)?;
        bytemuck::try_cast_slice_mut(head).map_err(|_| EmbedError::ScratchAlignment)
    }

    /// Up to `count` rows of `width` values, in `bytes` bytes and the slack, with the kernel's form of them.
    pub(crate) fn rows(
        &mut self,
        bytes: usize,
        count: usize,
        width: usize,
        family: Family,
    ) -> Result<Rows<'a>, EmbedError> {
        let rows = self.take(bytes + SLACK)?;
        let form = self.take(family.input_bytes(count, width))?;
        Ok(Rows { rows, form, width })
    }

    /// A second cut of what is left, over the same bytes as later `take`s.
    pub(crate) fn again(&mut self) -> Region<'_> {
        Region(self.0)
    }
}
