//! NUMERICS.md, "Promises that tests hold": odd shapes and extreme weights on every emulated board, tap by tap. The same for
//! this machine's kernels: device/tests/reference.rs.

use super::*;
use crate::pack;
use ldae_device::kernels::Family;
use ldae_shared::format::{ArtifactDesc, Fill};
use ldae_shared::spec::{EncoderSpec, Pooling};

/// Shapes, and whether they run with every fill.
const SHAPES: [(EncoderSpec, bool); 14] = [
    (EncoderSpec::from_numbers((21, 1, 3), (5, 9, 3), (1, 1), Pooling::Mean), true), // 49 tokens, heads of 3
    (EncoderSpec::from_numbers((35, 3, 5), (75, 39, 3), (2, 3), Pooling::Grid2x2), true),
    (EncoderSpec::from_numbers((8, 3, 8), (1, 1, 1), (1, 16), Pooling::MeanStd), true), // one token of width 1: constant
    (EncoderSpec::from_numbers((16, 3, 4), (7, 24, 3), (2, 2), Pooling::MeanStd), true),
    (EncoderSpec::from_numbers((15, 3, 3), (16, 64, 2), (1, 2), Pooling::Mean), true), // heads of 32, odd rows and tokens
    (EncoderSpec::from_numbers((24, 3, 4), (32, 96, 3), (1, 2), Pooling::Mean), true), // heads of 32, 36 tokens
    (EncoderSpec::from_numbers((15, 1, 5), (25, 21, 3), (1, 3), Pooling::Grid2x2), false),
    (EncoderSpec::from_numbers((28, 1, 4), (9, 30, 5), (2, 1), Pooling::Mean), false),
    (EncoderSpec::from_numbers((9, 3, 3), (5, 13, 1), (1, 4), Pooling::MeanStd), false),
    (EncoderSpec::from_numbers((7, 3, 7), (147, 10, 2), (1, 2), Pooling::Mean), false), // a single token
    (EncoderSpec::from_numbers((35, 3, 5), (1, 34, 17), (1, 3), Pooling::Mean), false), // heads of 2, rank 1
    (EncoderSpec::from_numbers((20, 3, 1), (2, 12, 4), (1, 2), Pooling::Grid2x2), false), // 400 tokens of one pixel
    (EncoderSpec::from_numbers((64, 3, 32), (48, 100, 1), (1, 1), Pooling::Mean), false),
    (EncoderSpec::from_numbers((8, 3, 4), (7, 512, 1), (1, 4), Pooling::Mean), true), // rule 2 at 2048 inputs and a head of 512
];

/// True where an artifact fits on a board: the small one has 6 KB of scratch and room for pictures of 3 KB.
fn fits(board: &Board, spec: &EncoderSpec, artifact: &[u8]) -> bool {
    let family = pack::family(board.core).unwrap_or(Family::Portable);
    let scratch = ldae_device::scratch_bytes_of(spec, family);
    let image = pack::to_layout(artifact, family.layout()).unwrap();
    !board.small || (scratch <= 6 << 10 && spec.pixels() <= 3 << 10 && image.len() <= board.artifact_room)
}

#[test]
#[ignore = "needs QEMU and the cross targets; `./ci.sh emulated` runs it"]
fn odd_shapes_and_extreme_weights_are_equal_on_emulated_boards() {
    for (spec, extremes) in SHAPES {
        for fill in if extremes { &Fill::ALL[..] } else { &[Fill::Random, Fill::AnyFactor] } {
            let artifact = ArtifactDesc::synthetic(spec, *fill, 2).write(|_| [0; 32]).unwrap();
            let pictures = Pictures::synthetic(spec.pixels() as usize, 4);
            let boards = BOARDS.iter().filter(|b| fits(b, &spec, &artifact));
            let devices: Vec<Device> = boards.map(Device::Qemu).collect();
            let report = run(&artifact, &devices, &pictures, &Options::default(), &Output::new(false)).unwrap();
            assert_eq!(report.verdict, Verdict::Equal, "{spec:?} {fill:?}\n{report}");
            for device in &report.devices {
                assert_eq!(device.taps_equal, 4 * report.taps, "{device}");
            }
        }
    }
}
