//! Canonical artifacts: the portable loops compiled for AVX2 and AVX-512. The bits cannot differ: it is the same source.

use crate::kernels::portable::{self, Portable};
use crate::kernels::{Family, HeadRows, HeadShape, Input, Kernel};
use ldae_shared::fixed::{Factor, NormToken};
use ldae_shared::format::{Block, Linear};

macro_rules! compiled_for {
    ($kernel:ident, $module:ident, $features:literal, $doc:literal) => {
        #[doc = $doc]
        ///
        /// Reached only through [`crate::kernels::Choice`], whose tokens exist only where the processor has the features.
        #[derive(Clone, Copy, Debug)]
        pub(crate) struct $kernel;

        mod $module {
            use super::{Block, Factor, HeadRows, HeadShape, Input, Kernel, Linear, NormToken, Portable, portable};

            #[target_feature(enable = $features)]
            pub(super) fn linear_i8(x: Input<'_>, layer: &Linear<'_>, out: &mut [i8]) {
                portable::linear_i8(x, layer, out);
            }

            #[target_feature(enable = $features)]
            pub(super) fn linear_i16(x: Input<'_>, layer: &Linear<'_>, out: &mut [i16]) {
                portable::linear_i16(x, layer, out);
            }

            #[target_feature(enable = $features)]
            pub(super) fn logits(q: &mut HeadRows<'_>, head: HeadShape, keys: &[u8], factor: Factor, out: &mut [i8]) {
                portable::logits(q, head, keys, factor, out);
            }

            #[target_feature(enable = $features)]
            pub(super) fn weighted_values(
                probabilities: &[u16],
                head: HeadShape,
                values: &[u8],
                factor: Factor,
                work: &mut [u8],
                out: &mut HeadRows<'_>,
            ) {
                portable::weighted_values(probabilities, head, values, factor, work, out);
            }

            #[target_feature(enable = $features)]
            pub(super) fn softmax(block: &Block<'_>, logits: &[i8], probabilities: &mut [u16]) {
                Portable::softmax(block, logits, probabilities);
            }

            #[target_feature(enable = $features)]
            pub(super) fn sums(row: &[i16]) -> (i32, u64) {
                Portable::sums(row)
            }

            #[target_feature(enable = $features)]
            pub(super) fn normalise(row: &[i16], token: NormToken, out: &mut [i8]) {
                Portable::normalise(row, token, out);
            }
        }

        // SAFETY of the calls: a `Choice` of this kernel holds its token, and tokens come from `detect` only.
        impl Kernel for $kernel {
            const FAMILY: Family = Family::Portable;

            fn linear_i8(x: Input<'_>, layer: &Linear<'_>, out: &mut [i8]) {
                unsafe { $module::linear_i8(x, layer, out) }
            }

            fn linear_i16(x: Input<'_>, layer: &Linear<'_>, out: &mut [i16]) {
                unsafe { $module::linear_i16(x, layer, out) }
            }

            fn logits(
                q: &mut HeadRows<'_>,
                head: HeadShape,
                keys: &[u8],
                factor: Factor,
                _work: &mut [u8],
                out: &mut [i8],
            ) {
                unsafe { $module::logits(q, head, keys, factor, out) }
            }

            fn weighted_values(
                probabilities: &[u16],
                head: HeadShape,
                values: &[u8],
                factor: Factor,
                work: &mut [u8],
                out: &mut HeadRows<'_>,
            ) {
                unsafe { $module::weighted_values(probabilities, head, values, factor, work, out) }
            }

            fn softmax(block: &Block<'_>, logits: &[i8], probabilities: &mut [u16]) {
                unsafe { $module::softmax(block, logits, probabilities) }
            }

            fn sums(row: &[i16]) -> (i32, u64) {
                unsafe { $module::sums(row) }
            }

            fn normalise(row: &[i16], token: NormToken, out: &mut [i8]) {
                unsafe { $module::normalise(row, token, out) }
            }
        }
    };
}

compiled_for!(Avx2, avx2, "avx2", "The portable loops compiled for AVX2.");
compiled_for!(
    Avx512,
    avx512,
    "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni",
    "The portable loops compiled for AVX-512."
);
