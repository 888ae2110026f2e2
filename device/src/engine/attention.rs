//! Attention (rules 3, 4, 6): queries of all heads, then head by head keys and values, a few rows of scores at a time.

use super::work::Region;
use super::{Work, norm, prefix};
use crate::encoder::EmbedError;
use crate::kernels::{HeadRows, HeadShape, Kernel};
use crate::plan::SLACK;
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
    let (n, w, rows) = (spec.tokens() as usize, usize::from(spec.width.max(1)), K::FAMILY.rows());
    let head = HeadShape { tokens: n, width: spec.head_width() as usize };
    let id = |stage| TapId::Block(index, stage);
    let [range, _] = block.norms;
    let (statistics, norm_rows, mut region) = work.parts();
    norm::statistics::<K>(stream, w, range, statistics);

    // Queries of all heads; each head's output later overwrites its queries.
    let queries: &mut [i8] = region.take(n * w + SLACK)?; // [N, W]
    let layer = block.queries();
    for ((x, s), q) in
        stream.chunks(rows * w).zip(statistics.chunks(rows)).zip(prefix(queries, n * w)?.chunks_mut(rows * w))
    {
        K::linear_i8(norm::input::<K, T>(x, w, s, norm_rows)?, &layer, q);
        if T::ENABLED {
            let count = x.len() / w.max(1);
            tap.tap(id(BlockStage::Norm1), TapData::I8(norm_rows.rows(count)?));
            tap.tap(id(BlockStage::Q), TapData::I8(q));
        }
    }

    {
        let mut region = region.again();
        let keys: &mut [u8] = region.take(K::FAMILY.key_bytes(n, head.width))?;
        let values: &mut [u8] = region.take(K::FAMILY.value_bytes(n, head.width))?;
        for h in 0..spec.heads as usize {
            {
                let chunk: &mut [i8] = region.again().take(rows * head.width)?; // [R, W/H]
                let (key_layer, value_layer) = (block.keys(h), block.head_values(h));
                if K::FAMILY.clears_keys_and_values(n, head.width) {
                    keys.fill(0);
                    values.fill(0);
                }
                for (i, (x, s)) in stream.chunks(rows * w).zip(statistics.chunks(rows)).enumerate() {
                    let count = x.len() / w.max(1);
                    // Where one chunk holds all tokens, its rows are still there.
                    let input =
                        if n <= rows { norm_rows.prepared(count) } else { norm::input::<K, T>(x, w, s, norm_rows)? };
                    let chunk = prefix(chunk, count * head.width)?;
                    K::linear_i8(input, &key_layer, chunk);
                    K::store_keys(chunk, i * rows, head, keys);
                    if T::ENABLED {
                        tap.tap(id(BlockStage::K), TapData::I8(chunk));
                    }
                    K::linear_i8(input, &value_layer, chunk);
                    K::store_values(chunk, i * rows, head, values);
                    if T::ENABLED {
                        tap.tap(id(BlockStage::V), TapData::I8(chunk));
                    }
                }
            }
            let column = h * head.width;
            for rows in prefix(queries, n * w)?.chunks_mut(K::FAMILY.queries() * w) {
                let queries = HeadRows { rows, stride: w, column };
                scores::<K, T>(block, index, head, (keys, values), queries, region.again(), tap)?;
            }
        }
    }

    // Keys and values are done with: the product lies over them.
    let product: &mut [i16] = region.take(rows * w)?;
    for (i, s) in stream.chunks_mut(rows * w).enumerate() {
        let Some(x) = queries.get(i * rows * w..) else { break };
        let product = prefix(product, s.len())?;
        K::linear_i16(norm_rows.prepare_from::<K>(x, s.len() / w.max(1))?, &block.proj, product);
        K::add(s, product);
        if T::ENABLED {
            tap.tap(id(BlockStage::Proj), TapData::I16(product));
            tap.tap(id(BlockStage::Residual1), TapData::I16(s));
        }
    }
    Ok(())
}

/// Logits, probabilities and outputs of a few rows of one head.
fn scores<K: Kernel, T: Tap>(
    block: &Block<'_>,
    index: u16,
    head: HeadShape,
    (keys, values): (&[u8], &[u8]),
    mut queries: HeadRows<'_>,
    mut region: Region<'_>,
    tap: &mut T,
) -> Result<(), EmbedError> {
    let id = |stage| TapId::Block(index, stage);
    let count = queries.rows.len() / queries.stride.max(1);
    let group = K::FAMILY.queries();
    let logits: &mut [i8] = region.take(group * head.tokens)?; // [count, N]
    let probabilities: &mut [u16] = region.take(group * head.tokens)?; // [count, N]
    let work: &mut [u8] = region.take(K::FAMILY.attention_bytes(head.tokens, head.width))?;
    let logits = prefix(logits, count * head.tokens)?;
    let probabilities = prefix(probabilities, count * head.tokens)?;
    K::logits(&mut queries, head, keys, block.logits, work, logits);
    K::softmax_rows(block, head.tokens, logits, probabilities);
    K::weighted_values(probabilities, head, values, block.values, work, &mut queries);
    if T::ENABLED {
        tap.tap(id(BlockStage::Logits), TapData::I8(logits));
        tap.tap(id(BlockStage::Probabilities), TapData::U16(probabilities));
        for row in queries.iter_mut(head.width) {
            tap.tap(id(BlockStage::Attention), TapData::I8(row));
        }
    }
    Ok(())
}
