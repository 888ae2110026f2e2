//! MLP (rules 3, 4, 7), chunk by chunk: the hidden layer of eight tokens at a time.

use super::{Work, norm, prefix};
use crate::encoder::EmbedError;
use crate::kernels::Kernel;
use crate::plan::ROWS;
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
    let (w, hidden_width) = (spec.width as usize, spec.hidden() as usize);
    let id = |stage| TapId::Block(index, stage);
    let [_, range] = block.norms;
    let (statistics, norm_rows, mut region) = work.parts();
    let hidden: &mut [i8] = region.take(ROWS * hidden_width)?;
    let product: &mut [i16] = region.take(ROWS * w)?;
    norm::statistics(stream, w, range, statistics);
    for (x, s) in stream.chunks_mut(ROWS * w).zip(statistics.chunks(ROWS)) {
        let tokens = x.len() / w.max(1);
        let rows = prefix(norm_rows, x.len())?;
        norm::rows(x, w, s, rows);
        let hidden = prefix(hidden, tokens * hidden_width)?; // [rows, rW]
        K::linear_i8(rows, &block.fc1, hidden);
        if T::ENABLED {
            tap.tap(id(BlockStage::Norm2), TapData::I8(rows));
            tap.tap(id(BlockStage::Fc1), TapData::I8(hidden));
        }
        K::gelu(block, hidden);
        let product = prefix(product, x.len())?;
        K::linear_i16(hidden, &block.fc2, product);
        K::add(x, product);
        if T::ENABLED {
            tap.tap(id(BlockStage::Gelu), TapData::I8(hidden));
            tap.tap(id(BlockStage::Fc2), TapData::I16(product));
            tap.tap(id(BlockStage::Residual2), TapData::I16(x));
        }
    }
    Ok(())
}
