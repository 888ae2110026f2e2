//! MLP (rules 3, 4, 7), chunk by chunk: the hidden layer of a few tokens at a time.

use super::{Work, norm};
use crate::encoder::EmbedError;
use crate::kernels::Kernel;
use crate::plan::hidden_row_bytes;
use crate::tap::{BlockStage, Tap, TapData, TapId};
use ldae_shared::format::Block;
use ldae_shared::spec::EncoderSpec;

pub(super) fn run<K: Kernel, T: Tap>(
    spec: &EncoderSpec,
    block: &Block<'_>,
    index: u16,
    stream: &mut [i16],
    work: &mut Work<'_>,
    tap: &mut T,
) -> Result<(), EmbedError> {
    let (w, rows) = (usize::from(spec.width.max(1)), K::FAMILY.rows());
    let id = |stage| TapId::Block(index, stage);
    let [_, range] = block.norms;
    let (statistics, norm_rows, mut region) = work.parts();
    let mut hidden = region.rows(hidden_row_bytes(spec, K::FAMILY), rows, spec.hidden() as usize, K::FAMILY)?; // [R, rW]
    let spare: &mut [i16] = if K::FAMILY.has_form() { &mut [] } else { region.take(rows * w)? };
    norm::statistics::<K>(stream, w, range, statistics);
    for (x, s) in stream.chunks_mut(rows * w).zip(statistics.chunks(rows)) {
        let count = x.len() / w.max(1);
        let input = norm::input::<K, T>(x, w, s, norm_rows)?;
        let codes = hidden.rows(count)?;
        K::linear_i8(input, &block.fc1, codes);
        if T::ENABLED {
            tap.tap(id(BlockStage::Norm2), TapData::I8(norm_rows.rows(count)?));
            tap.tap(id(BlockStage::Fc1), TapData::I8(codes));
        }
        K::gelu(block, codes);
        if T::ENABLED {
            tap.tap(id(BlockStage::Gelu), TapData::I8(codes));
        }
        let (input, product) = hidden.prepare_with_room::<K>(count, spare, x.len())?;
        K::linear_i16(input, &block.fc2, product);
        K::add(x, product);
        if T::ENABLED {
            tap.tap(id(BlockStage::Fc2), TapData::I16(product));
            tap.tap(id(BlockStage::Residual2), TapData::I16(x));
        }
    }
    Ok(())
}
