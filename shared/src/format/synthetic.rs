//! Valid artifacts with random or extreme contents, for any shape: tests, fuzzing and benchmarks need no training.

use super::{ArtifactDesc, BlockDesc, LinearDesc, layout};
use crate::fixed::{ACC_LIMIT, Factor, NormRange, pool_shift};
use crate::noise::{Purpose, Stream};
use crate::spec::EncoderSpec;
use alloc::string::String;
use alloc::vec::Vec;

/// What the tensors are filled with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Uniform weights, factors that spread activations over their range: behaves like a trained encoder.
    Random,
    /// Weights as large as rule 2 allows, all of one sign, biases at the bound, largest factors: everything saturates.
    Extreme,
    /// All weights at the negative bound.
    ExtremeNegative,
    /// One non-zero weight a row.
    OneHot,
    /// Random weights, and for every channel any factor from 2^-20 to 2: what kernels take by a shortcut and what they do not
    /// lie side by side, some channels saturate and some vanish.
    AnyFactor,
}

impl Fill {
    /// All of them.
    pub const ALL: [Fill; 5] = [Fill::Random, Fill::Extreme, Fill::ExtremeNegative, Fill::OneHot, Fill::AnyFactor];
}

impl ArtifactDesc {
    /// An artifact of shape `spec` filled by `fill`, a pure function of its arguments. No test vectors.
    pub fn synthetic(spec: EncoderSpec, fill: Fill, seed: u64) -> Self {
        let mut g = Generator { stream: Stream::new(seed, Purpose::Vector, 0, 0), fill };
        let (w, hidden) = (spec.width as usize, spec.hidden() as usize);
        // A code of 25 is one standard deviation, stream values of about 2000 too: the scales of a trained encoder.
        let project = g.linear(spec.rank as usize, spec.patch_values() as usize, 74.0, 128, 40.0);
        let embed = g.linear(w, spec.rank as usize, 40.0, 127, 2000.0);
        let positions = (0..spec.tokens() as usize * w).map(|_| g.position()).collect();
        let blocks = (0..spec.depth).map(|_| g.block(w, hidden, spec.head_width() as usize)).collect();
        let tokens = spec.pooled_tokens();
        let head = (0..spec.embedding()).map(|_| g.head(tokens)).collect();
        let norms = (0..layout::norms(&spec)).filter_map(|_| g.norm()).collect();
        ArtifactDesc {
            spec,
            time_step: 10,
            resize: 0,
            project,
            embed,
            positions,
            blocks,
            head,
            norms,
            standardisation: Vec::new(),
            pca_basis: Vec::new(),
            provenance: String::from("origin=synthetic\n"),
            vectors: Vec::new(),
        }
    }
}

struct Generator {
    stream: Stream,
    fill: Fill,
}

impl Generator {
    /// The factor nearest to `f` in 2^-24..64.
    fn factor(f: f32) -> Factor {
        let mut t = 1u8;
        let mut m = f * 512.0; // m at t = 1
        while m < 16384.0 && t < 30 {
            m *= 2.0;
            t += 1;
        }
        Factor::new((m as u16).clamp(1 << 14, (1 << 15) - 1), t).unwrap_or(Factor::SMALLEST)
    }

    /// Any factor with 6 ≤ t ≤ 26; the shortcut of rule 3 ends at 8 and 24.
    fn any_factor(&mut self) -> Factor {
        let m = (1 << 14) + self.stream.below(1 << 14);
        Factor::new(m as u16, 6 + self.stream.below(21) as u8).unwrap_or(Factor::SMALLEST)
    }

    /// A layer whose outputs have about the deviation `target` when its inputs have the deviation `input`.
    fn linear(&mut self, outputs: usize, inputs: usize, input: f32, top: i64, target: f32) -> LinearDesc {
        let limit = ACC_LIMIT as i64;
        // Uniform −64..=63 has a deviation of 37.
        let factor = match self.fill {
            Fill::Random | Fill::AnyFactor => Self::factor(target / (37.0 * input * libm::sqrtf(inputs as f32))),
            Fill::OneHot => Self::factor(target / (127.0 * input)),
            Fill::Extreme | Fill::ExtremeNegative => Self::factor(63.9),
        };
        let mut d = LinearDesc { bias: Vec::new(), factor: alloc::vec![factor; outputs], weights: Vec::new() };
        for j in 0..outputs {
            let start = d.weights.len();
            if self.fill == Fill::AnyFactor {
                d.factor[j] = self.any_factor();
            }
            match self.fill {
                Fill::Random | Fill::AnyFactor => {
                    d.weights.extend((0..inputs).map(|_| (self.stream.below(128) as i32 - 64) as i8))
                }
                Fill::OneHot => d.weights.extend((0..inputs).map(|i| if i == j % inputs { 127 } else { 0 })),
                Fill::Extreme | Fill::ExtremeNegative => {
                    let sign = if self.fill == Fill::Extreme { 1 } else { -1 };
                    let largest = (limit / (top * inputs as i64)).min(127);
                    d.weights.extend(core::iter::repeat_n((sign * largest) as i8, inputs));
                }
            }
            let sum: i64 = d.weights[start..].iter().map(|&w| i64::from(w).abs()).sum();
            // The rest of rule 2's bound is the bias's; a row too long for it is thinned from the end.
            let mut room = limit - top * sum;
            let mut i = d.weights.len();
            while room < 0 {
                i -= 1;
                room += top * i64::from(d.weights[i]).abs();
                d.weights[i] = 0;
            }
            d.bias.push(match self.fill {
                Fill::Random | Fill::OneHot | Fill::AnyFactor => {
                    (self.stream.below(2001) as i32 - 1000).clamp(-(room as i32), room as i32)
                }
                Fill::Extreme => room as i32,
                Fill::ExtremeNegative => -(room as i32),
            });
        }
        d
    }

    fn position(&mut self) -> i16 {
        match self.fill {
            Fill::Random | Fill::OneHot | Fill::AnyFactor => (self.stream.below(2001) as i32 - 1000) as i16,
            Fill::Extreme => i16::MAX,
            Fill::ExtremeNegative => i16::MIN,
        }
    }

    fn block(&mut self, w: usize, hidden: usize, head_width: usize) -> BlockDesc {
        let extreme = matches!(self.fill, Fill::Extreme | Fill::ExtremeNegative);
        let softmax = (0..256u32)
            .map(|d| if extreme { 65535 } else { (65535.0 * libm::expf(-(d as f32) / 16.0)) as u16 })
            .collect();
        let gelu = (0..256)
            .map(|i| {
                let code = i as u8 as i8;
                if extreme { if code < 0 { -127 } else { 127 } } else { code.max(-20) }
            })
            .collect();
        BlockDesc {
            qkv: self.linear(3 * w, w, 25.0, 127, 35.0),
            logits: match self.fill {
                Fill::Extreme | Fill::ExtremeNegative => Self::factor(63.9),
                Fill::AnyFactor => self.any_factor(),
                _ => Self::factor(35.0 / (35.0 * 35.0 * libm::sqrtf(head_width as f32))),
            },
            softmax,
            values: match self.fill {
                Fill::Extreme | Fill::ExtremeNegative => Self::factor(63.9),
                Fill::AnyFactor => self.any_factor(),
                _ => Self::factor(2.0 / 32768.0),
            },
            proj: self.linear(w, w, 20.0, 127, 800.0),
            fc1: self.linear(hidden, w, 25.0, 127, 35.0),
            gelu,
            fc2: self.linear(w, hidden, 25.0, 127, 800.0),
        }
    }

    /// Ranges around ±5 and, where everything saturates, the narrowest.
    fn norm(&mut self) -> Option<NormRange> {
        NormRange::new(match self.fill {
            Fill::Random | Fill::OneHot | Fill::AnyFactor => 64 + self.stream.below(48) as u8,
            Fill::Extreme | Fill::ExtremeNegative => 16,
        })
    }

    fn head(&mut self, tokens: u32) -> (i32, Factor) {
        let shift = pool_shift(tokens);
        let bound = ACC_LIMIT - (((127 * tokens) << shift) as i32);
        match self.fill {
            Fill::Random | Fill::OneHot => {
                let bias = self.stream.below(2001) as i32 - 1000;
                (bias.clamp(-bound, bound), Self::factor(8.0 / ((tokens << shift) as f32)))
            }
            Fill::AnyFactor => (self.stream.below(2 * bound as u32) as i32 - bound, self.any_factor()),
            Fill::Extreme => (bound, Self::factor(63.9)),
            Fill::ExtremeNegative => (-bound, Self::factor(63.9)),
        }
    }
}
