//! Philox4x32-10: 128 random bits as a pure function of a 128-bit counter and a 64-bit key.
//!
//! Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11, section 4.3; the constants
//! are the paper's. Checked below against the known-answer vectors that the authors publish with Random123.

/// Round multipliers (SC11, table 2).
pub const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// Key increments: the golden ratio and sqrt(3) - 1 (SC11, section 4.3).
pub const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
/// Ten rounds: the authors' default, with a margin over the seven that pass BigCrush.
pub const ROUNDS: u32 = 10;

/// High and low halves of the 64-bit product.
const fn wide_product(a: u32, b: u32) -> (u32, u32) {
    let product = a as u64 * b as u64;
    ((product >> 32) as u32, product as u32)
}

/// Four random words for one counter and key.
pub const fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    let mut round = 0;
    while round < ROUNDS {
        let (high0, low0) = wide_product(MULTIPLIER[0], c0);
        let (high1, low1) = wide_product(MULTIPLIER[1], c2);
        (c0, c1, c2, c3) = (high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0);
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
        round += 1;
    }
    [c0, c1, c2, c3]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random123 1.14, tests/kat_vectors, lines "philox4x32 10".
    #[test]
    fn known_answers() {
        let vectors: [([u32; 4], [u32; 2], [u32; 4]); 3] = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, answer) in vectors {
            assert_eq!(philox4x32_10(counter, key), answer);
        }
    }

    #[test]
    fn every_input_word_matters() {
        let base = philox4x32_10([1, 2, 3, 4], [5, 6]);
        for word in 0..4 {
            let mut counter = [1, 2, 3, 4];
            counter[word] ^= 1;
            assert_ne!(philox4x32_10(counter, [5, 6]), base);
        }
        assert_ne!(philox4x32_10([1, 2, 3, 4], [4, 6]), base);
        assert_ne!(philox4x32_10([1, 2, 3, 4], [5, 7]), base);
    }
}
