//! Attention (rules 3, 4, 6): queries of all heads, then head by head keys and values, one row of scores at a time.

use super::{Work, norm, prefix};
use crate::encoder::EmbedError;
use crate::kernels::Kernel;
use crate::plan::ROWS;
use crate::tap::{BlockStage, Tap, TapData, TapId};
use ldae_shared::fixed::row_reciprocal;
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
    let (n, w, dh) = (spec.tokens() as usize, spec.width as usize, spec.head_width() as usize);
    let id = |stage| TapId::Block(index, stage);
    let [range, _] = block.norms;
    let (statistics, norm_rows, mut region) = work.parts();
    norm::statistics(stream, w, range, statistics);

    // Queries of all heads; each head's output later overwrites its queries.
    let queries: &mut [i8] = region.take(n * w)?; // [N, W]
    let layer = block.qkv.slice(0, w);
    for ((x, s), q) in stream.chunks(ROWS * w).zip(statistics.chunks(ROWS)).zip(queries.chunks_mut(ROWS * w)) {
        let rows = prefix(norm_rows, x.len())?;
        norm::rows(x, w, s, rows);
        K::linear_i8(rows, &layer, q);
        if T::ENABLED {
            tap.tap(id(BlockStage::Norm1), TapData::I8(rows));
            tap.tap(id(BlockStage::Q), TapData::I8(q));
        }
    }

    {
        let mut region = region.again();
        let keys: &mut [i8] = region.take(n * dh)?; // [N, W/H]
        let values: &mut [i8] = region.take(n * dh)?; // [N, W/H]
        let logits: &mut [i8] = region.take(n)?;
        let probabilities: &mut [u16] = region.take(n)?;
        let acc: &mut [i32] = region.take(dh)?;
        for head in 0..spec.heads as usize {
            let (key_layer, value_layer) = (block.qkv.slice(w + head * dh, dh), block.qkv.slice(2 * w + head * dh, dh));
            let chunks = stream.chunks(ROWS * w).zip(statistics.chunks(ROWS));
            let outputs = keys.chunks_mut(ROWS * dh).zip(values.chunks_mut(ROWS * dh));
            for ((x, s), (k, v)) in chunks.zip(outputs) {
                let rows = prefix(norm_rows, x.len())?;
                norm::rows(x, w, s, rows);
                K::linear_i8(rows, &key_layer, k);
                K::linear_i8(rows, &value_layer, v);
            }
            if T::ENABLED {
                tap.tap(id(BlockStage::K), TapData::I8(keys));
                tap.tap(id(BlockStage::V), TapData::I8(values));
            }
            for row in queries.chunks_exact_mut(w.max(1)) {
                let Some(query) = row.get_mut(head * dh..(head + 1) * dh) else { continue };
                K::logits(query, keys, block.logits, logits);
                softmax(block, logits, probabilities);
                K::weighted_values(probabilities, values, block.values, acc, query);
                if T::ENABLED {
                    tap.tap(id(BlockStage::Logits), TapData::I8(logits));
                    tap.tap(id(BlockStage::Probabilities), TapData::U16(probabilities));
                    tap.tap(id(BlockStage::Attention), TapData::I8(query));
                }
            }
        }
    }

    // Keys and values are done with: the product lies over them.
    let product: &mut [i16] = region.take(ROWS * w)?;
    for (x, s) in queries.chunks(ROWS * w).zip(stream.chunks_mut(ROWS * w)) {
        let product = prefix(product, x.len())?;
        K::linear_i16(x, &block.proj, product);
        K::add(s, product);
        if T::ENABLED {
            tap.tap(id(BlockStage::Proj), TapData::I16(product));
            tap.tap(id(BlockStage::Residual1), TapData::I16(s));
        }
    }
    Ok(())
}

/// One row of logits to 15-bit probabilities (rule 6): table lookup, one reciprocal.
fn softmax(block: &Block<'_>, logits: &[i8], probabilities: &mut [u16]) {
    let max = logits.iter().copied().max().unwrap_or(0);
    let mut sum = 0u32; // at most 4096 entries of 16 bits: below 2^28
    for (p, &x) in probabilities.iter_mut().zip(logits) {
        let entry = block.softmax(max.abs_diff(x));
        *p = entry;
        sum += u32::from(entry);
    }
    let reciprocal = row_reciprocal(sum);
    for p in probabilities {
        *p = reciprocal.apply(*p);
    }
}
