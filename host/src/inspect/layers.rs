//! Multiply-accumulates, weights and flash of every layer of an encoder, from its spec alone.

use ldae_shared::format::{Layout, block_bytes, front_bytes, head_bytes};
use ldae_shared::spec::EncoderSpec;
use serde::Serialize;

/// Sizes are those of the canonical artifact.
const LAYOUT: Layout = Layout::Canonical;

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Layer {
    /// Name, for instance `block 0 qkv`.
    pub name: String,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    /// Weights (i8; positions i16). Biases and tables are not weights.
    pub weights: u64,
    /// Bytes in the artifact: weights, channel records, tables, padding.
    pub flash_bytes: u64,
}

/// Layers in the order of the graph. N tokens, P patch values, K rank, W width, r·W hidden, E components.
pub fn layers(s: &EncoderSpec) -> Vec<Layer> {
    let (n, w) = (u64::from(s.tokens()), u64::from(s.width));
    let linear = |name: String, outputs: u32, inputs: u32| {
        let weights = u64::from(outputs) * u64::from(inputs);
        Layer { name, macs: n * weights, weights, flash_bytes: LAYOUT.linear_bytes(outputs, inputs) }
    };
    let (width, rank) = (u32::from(s.width), u32::from(s.rank));
    let mut all = vec![linear("patch PCA".into(), rank, s.patch_values()), linear("embed".into(), width, rank)];
    let positions = front_bytes(s, LAYOUT) - all.iter().map(|l| l.flash_bytes).sum::<u64>();
    all.push(Layer { name: "positions".into(), macs: 0, weights: n * w, flash_bytes: positions });
    for i in 0..s.depth {
        let qkv = linear(format!("block {i} qkv"), 3 * width, width);
        let proj = linear(format!("block {i} proj"), width, width);
        let fc1 = linear(format!("block {i} fc1"), s.hidden(), width);
        let fc2 = linear(format!("block {i} fc2"), width, s.hidden());
        // What is left of the block's bytes: softmax and GELU tables and two factors.
        let tables = block_bytes(s, LAYOUT) - [&qkv, &proj, &fc1, &fc2].map(|l| l.flash_bytes).iter().sum::<u64>();
        let attention =
            Layer { name: format!("block {i} attention"), macs: 2 * n * n * w, weights: 0, flash_bytes: tables };
        all.extend([qkv, attention, proj, fc1, fc2]);
    }
    all.push(Layer { name: "head".into(), macs: 0, weights: 0, flash_bytes: head_bytes(s) });
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use ldae_shared::spec::PRESETS;

    #[test]
    fn layers_add_up_to_the_spec() {
        for p in PRESETS {
            let all = layers(&p.spec);
            assert_eq!(all.iter().map(|l| l.macs).sum::<u64>(), p.spec.macs(), "{}", p.name);
            let flash = front_bytes(&p.spec, LAYOUT)
                + u64::from(p.spec.depth) * block_bytes(&p.spec, LAYOUT)
                + head_bytes(&p.spec);
            assert_eq!(all.iter().map(|l| l.flash_bytes).sum::<u64>(), flash, "{}", p.name);
            // Weights and one bias a channel are the parameters.
            let channels = |s: &EncoderSpec| {
                let w = u64::from(s.width);
                u64::from(s.rank) + w + u64::from(s.depth) * (3 * w + w + u64::from(s.hidden()) + w)
            };
            let weights: u64 = all.iter().map(|l| l.weights).sum();
            assert_eq!(weights + channels(&p.spec), p.spec.parameters(), "{}", p.name);
        }
    }
}
