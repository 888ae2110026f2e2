use super::*;
use crate::format::{Artifact, ArtifactDesc, Fill, FormatError, reseal};
use crate::spec::{EncoderSpec, Pooling};
use std::vec::Vec;

const ODD: EncoderSpec = EncoderSpec {
    image: 15,
    channels: 3,
    patch: 5,
    rank: 11,
    width: 30,
    depth: 2,
    heads: 3,
    mlp_ratio: 2,
    pooling: Pooling::Mean,
};

fn layouts() -> impl Iterator<Item = Layout> {
    Layout::ALL.into_iter().filter(|l| !l.is_canonical())
}

fn layers<'a>(artifact: &Artifact<'a>) -> Vec<crate::format::Linear<'a>> {
    let front = artifact.front();
    let mut all = std::vec![front.project, front.embed];
    for block in artifact.blocks() {
        all.push(block.queries());
        for head in 0..usize::from(artifact.spec().heads) {
            all.extend([block.keys(head), block.head_values(head)]);
        }
        all.extend([block.proj, block.fc1, block.fc2]);
    }
    all
}

#[test]
fn codes_and_names_are_distinct() {
    for (i, layout) in Layout::ALL.into_iter().enumerate() {
        assert_eq!(Layout::from_code(i as u16), Some(layout));
        assert_eq!(layout.code(), i as u16);
    }
    assert_eq!(Layout::from_code(Layout::ALL.len() as u16), None);
}

/// Every channel and every weight survives, for ordinary and extreme values and for shapes that fill no panel.
#[test]
fn packing_changes_no_value() {
    let wide = EncoderSpec { image: 32, patch: 8, rank: 32, width: 64, heads: 2, ..ODD };
    for spec in [ODD, wide, EncoderSpec { width: 1, heads: 1, rank: 1, ..ODD }] {
        for fill in Fill::ALL {
            let bytes = ArtifactDesc::synthetic(spec, fill, 5).write(|_| [9; 32]).unwrap();
            let source = Artifact::parse(&bytes).unwrap();
            for layout in layouts() {
                let packed = pack(&bytes, layout).unwrap();
                let artifact = Artifact::parse_anywhere(&packed).unwrap();
                assert_eq!((artifact.layout(), artifact.identity()), (layout, [9; 32]));
                assert!(artifact.front().positions().eq(source.front().positions()));
                for (a, b) in source.blocks().zip(artifact.blocks()) {
                    assert_eq!((a.logits, a.values), (b.logits, b.values));
                    assert_eq!((a.softmax_table(), a.gelu_table()), (b.softmax_table(), b.gelu_table()));
                }
                for (a, b) in layers(&source).iter().zip(&layers(&artifact)) {
                    assert_eq!((a.inputs, a.outputs()), (b.inputs, b.outputs()));
                    assert_eq!(b.panels().count(), a.outputs().div_ceil(layout.channels()));
                    for (j, (channel, weights)) in a.rows().enumerate() {
                        assert_eq!(b.channel(j), channel, "{} {fill:?}", layout.name());
                        assert!(weights.iter().enumerate().all(|(k, &w)| b.weight(j, k) == w as i8));
                    }
                }
                assert_eq!(pack(&packed, layout), Err(PackError::Packed(layout)));
            }
        }
    }
}

/// Any changed byte of a packed tensor is refused, or is another valid set of weights: then it is the packing of itself.
#[test]
fn changed_panels_are_refused_or_consistent() {
    let spec = EncoderSpec { width: 8, heads: 2, rank: 3, depth: 1, mlp_ratio: 1, ..ODD };
    let bytes = ArtifactDesc::synthetic(spec, Fill::Random, 6).write(|_| [0; 32]).unwrap();
    for layout in layouts() {
        let packed = pack(&bytes, layout).unwrap();
        let (mut refused, mut accepted) = (0, 0);
        for at in crate::format::HEADER..packed.len() {
            for flip in [1, 0x80, 0xFF] {
                let mut changed = packed.clone();
                changed[at] ^= flip;
                reseal(&mut changed);
                match Artifact::parse_anywhere(&changed) {
                    Err(FormatError::Crc { .. }) => unreachable!("the CRC was repaired"),
                    Err(_) => refused += 1,
                    Ok(artifact) => {
                        accepted += 1;
                        for layer in layers(&artifact) {
                            for panel in layer.panels() {
                                let facts = PanelFacts::of(layout, panel, layer.inputs, 127);
                                assert!(facts.largest <= 127);
                            }
                        }
                    }
                }
            }
        }
        assert!(refused > 0 && accepted > 0, "{}: {refused} refused, {accepted} accepted", layout.name());
    }
}

#[test]
fn a_packed_artifact_must_be_aligned() {
    let bytes = ArtifactDesc::synthetic(ODD, Fill::Random, 7).write(|_| [0; 32]).unwrap();
    let packed = pack(&bytes, Layout::Pairs).unwrap();
    let mut room = std::vec![0u8; packed.len() + 32];
    let start = room.as_ptr().align_offset(16);
    room[start + 4..start + 4 + packed.len()].copy_from_slice(&packed);
    let moved = &room[start + 4..start + 4 + packed.len()];
    assert_eq!(Artifact::parse(moved).err(), Some(FormatError::Misaligned));
    assert!(Artifact::parse_anywhere(moved).is_ok());
}

/// The condition of two-lane groups of four: panels that exceed it say so and use groups of two.
#[test]
fn two_lane_groups_follow_the_weights() {
    let group = |fill| {
        let bytes = ArtifactDesc::synthetic(ODD, fill, 8).write(|_| [0; 32]).unwrap();
        let packed = pack(&bytes, Layout::TwoLane).unwrap();
        let artifact = Artifact::parse_anywhere(&packed).unwrap();
        layers(&artifact)
            .iter()
            .flat_map(|l| l.panels())
            .map(|p| p[24..32].iter().any(|&b| b != 0))
            .collect::<Vec<bool>>()
    };
    assert!(group(Fill::OneHot).iter().all(|&twos| !twos));
    assert!(group(Fill::Extreme).contains(&true));
}
