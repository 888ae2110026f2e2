//! The gallery against plain f64 arithmetic: order, votes, prototypes, anomaly, and its bytes.

use ldae_device::Embedding;
use ldae_device::gallery::{EncoderId, Gallery, GalleryError, ImageError, MAX_EXAMPLES, Match, Prototypes};
use ldae_shared::format::{Artifact, ArtifactDesc, Fill};
use ldae_shared::noise::{Purpose, Stream};
use ldae_shared::spec::PRESETS;
use proptest::prelude::*;
use std::sync::LazyLock;

const E: usize = 24;
type Codes = [i8; E];

/// Codes of one of three clusters, so that there are near and far neighbours; sometimes all zero, sometimes a multiple of
/// an earlier one, so that there are ties.
fn sample(seed: u64, index: u32) -> Codes {
    let mut stream = Stream::new(seed, Purpose::Vector, 7, index);
    match index % 16 {
        15 => [0; E],
        14 => sample(seed, index - 3).map(|c| c / 2 * 2),
        13 => sample(seed, index - 2),
        _ => {
            let mut cluster = Stream::new(seed, Purpose::Vector, 8, index % 3);
            std::array::from_fn(|_| {
                (cluster.below(121) as i32 - 60 + stream.below(121) as i32 - 60).clamp(-127, 127) as i8
            })
        }
    }
}

fn embedding(codes: &[i8]) -> Embedding<'_> {
    Embedding { codes, norm2: codes.iter().map(|&c| i32::from(c).pow(2) as u32).sum() }
}

fn dot(a: &[i8], b: &[i8]) -> f64 {
    a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
}

fn cosine(a: &[i8], b: &[i8]) -> f64 {
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms == 0.0 { 0.0 } else { dot(a, b) / norms }
}

fn filled(seed: u64, count: u32) -> Gallery<E, 64> {
    let mut gallery = Gallery::new();
    for i in 0..count {
        assert_eq!(gallery.add(embedding(&sample(seed, i)), (i % 3) as u16), Ok(i));
    }
    gallery
}

#[test]
fn the_order_is_that_of_f64_and_ties_go_to_the_lower_id() {
    for seed in 0..40 {
        let gallery = filled(seed, 48);
        let query = sample(seed, 1000);
        let mut places = [Match::NONE; 64];
        let found = gallery.nearest_k(embedding(&query), &mut places).unwrap();
        assert_eq!(found.len(), 48);
        assert_eq!(gallery.nearest(embedding(&query)).unwrap().unwrap(), found[0]);
        for pair in found.windows(2) {
            let real = |m: &Match| cosine(&query, gallery.get(m.id).unwrap().embedding().codes);
            let (near, far) = (real(&pair[0]), real(&pair[1]));
            assert!(near > far - 1e-12, "seed {seed}: {near} before {far}");
            // Equal for f64 means equal here: all values are small enough to be told apart otherwise.
            assert_eq!((near - far).abs() < 1e-12, pair[0].projection == pair[1].projection);
            assert!(pair[0].projection > pair[1].projection || pair[0].id < pair[1].id);
            assert!((f64::from(pair[0].cosine) / 32768.0 - near).abs() <= 0.5001 / 32768.0);
        }
        for k in [0, 1, 5, 47] {
            let mut fewer = [Match::NONE; 64];
            assert_eq!(gallery.nearest_k(embedding(&query), &mut fewer[..k]).unwrap(), &found[..k]);
        }
    }
}

#[test]
fn votes_are_counted_and_ties_go_to_the_closer_class() {
    let mut gallery: Gallery<2, 8> = Gallery::new();
    for (codes, label) in [([100, 0], 5), ([90, 40], 4), ([80, 60], 4), ([95, -20], 5), ([-100, 0], 3)] {
        gallery.add(embedding(&codes), label).unwrap();
    }
    let query = embedding(&[50, 0]);
    let vote =
        |k: usize| gallery.classify(query, &mut [Match::NONE; 8][..k]).unwrap().map(|v| (v.label, v.votes, v.of));
    assert_eq!(vote(0), None);
    assert_eq!(vote(1), Some((5, 1, 1)));
    assert_eq!(vote(3), Some((5, 2, 3)));
    // Two each: 5 has the larger sum of cosines.
    assert_eq!(vote(4), Some((5, 2, 4)));
    assert_eq!(vote(8), Some((5, 2, 5)));
}

#[test]
fn prototypes_have_the_direction_of_the_mean_in_any_order() {
    for seed in 0..20 {
        let examples: Vec<(Codes, u16)> = (0..40).map(|i| (sample(seed, i), (i % 3) as u16)).collect();
        let mut prototypes: Prototypes<E, 3> = Prototypes::new();
        examples.iter().for_each(|(codes, label)| prototypes.learn(embedding(codes), *label).unwrap());
        let mut backwards: Prototypes<E, 3> = Prototypes::new();
        examples.iter().rev().for_each(|(codes, label)| backwards.learn(embedding(codes), *label).unwrap());
        let mean = |label: u16| -> Vec<f64> {
            let own: Vec<_> = examples.iter().filter(|e| e.1 == label).collect();
            (0..E).map(|i| own.iter().map(|e| f64::from(e.0[i])).sum::<f64>() / own.len() as f64).collect()
        };
        for index in 100..140 {
            let query = sample(seed, index);
            let real = |label| {
                let mean = mean(label);
                let product: f64 = query.iter().zip(&mean).map(|(&q, m)| f64::from(q) * m).sum();
                let norms = (dot(&query, &query) * mean.iter().map(|m| m * m).sum::<f64>()).sqrt();
                if norms == 0.0 { 0.0 } else { product / norms }
            };
            let found = prototypes.classify(embedding(&query)).unwrap().unwrap();
            let best = (0..3).map(real).fold(f64::MIN, f64::max);
            assert!((real(found.label) - best).abs() < 1e-12);
            assert!((f64::from(found.cosine) / 32768.0 - best).abs() <= 0.5001 / 32768.0);
            let again = backwards.classify(embedding(&query)).unwrap().unwrap();
            assert_eq!((again.label, again.cosine), (found.label, found.cosine));
        }
        assert_eq!(Prototypes::of(&filled(seed, 40)), Ok(prototypes));
    }
}

#[test]
fn anomaly_is_zero_for_what_is_known_and_largest_for_its_opposite() {
    let mut gallery: Gallery<E, 4> = Gallery::new();
    let known = sample(1, 0);
    assert_eq!(gallery.anomaly(embedding(&known)), Ok(None));
    gallery.add(embedding(&known), 0).unwrap();
    assert_eq!(gallery.anomaly(embedding(&known)), Ok(Some(0)));
    assert_eq!(gallery.anomaly(embedding(&known.map(|c| -c))), Ok(Some(65536)));
    assert_eq!(gallery.anomaly(embedding(&[0; E])), Ok(Some(32768)));
}

#[test]
fn limits_are_errors_and_change_nothing() {
    let mut gallery: Gallery<2, 2> = Gallery::new();
    let (short, wrong) = (embedding(&[1]), Embedding { codes: &[3, 4], norm2: 24 });
    assert_eq!(gallery.add(short, 0), Err(GalleryError::Components { expected: 2, found: 1 }));
    assert_eq!(gallery.add(wrong, 0), Err(GalleryError::Norm { expected: 25, found: 24 }));
    assert_eq!(gallery.nearest(wrong), Err(GalleryError::Norm { expected: 25, found: 24 }));
    assert_eq!((gallery.add(embedding(&[1, 2]), 0), gallery.add(embedding(&[-128, 3]), 1)), (Ok(0), Ok(1)));
    assert_eq!(gallery.add(embedding(&[5, 6]), 2), Err(GalleryError::Full));
    // An id is not given twice.
    assert!(gallery.remove(1) && !gallery.remove(1));
    assert_eq!(gallery.add(embedding(&[5, 6]), 2), Ok(2));
    assert_eq!((gallery.remove_label(2), gallery.remove_label(2), gallery.len()), (1, 0, 1));
    let mut prototypes: Prototypes<2, 1> = Prototypes::new();
    assert_eq!(prototypes.classify(embedding(&[1, 2])), Ok(None));
    for _ in 0..MAX_EXAMPLES {
        prototypes.learn(embedding(&[-128, 127]), 7).unwrap();
    }
    let full = prototypes.clone();
    assert_eq!(prototypes.learn(embedding(&[1, 2]), 7), Err(GalleryError::Examples));
    assert_eq!(prototypes.learn(embedding(&[1, 2]), 8), Err(GalleryError::Full));
    assert_eq!(prototypes, full);
    assert_eq!(prototypes.classify(embedding(&[-128, 127])).unwrap().unwrap().cosine, 32768);
}

fn encoder(identity: u8) -> EncoderId {
    let desc = ArtifactDesc::synthetic(PRESETS[0].spec, Fill::OneHot, 1);
    EncoderId::of(&Artifact::parse(&desc.write(|_| [identity; 32]).unwrap()).unwrap())
}

#[test]
fn bytes_bring_back_the_same_gallery_and_only_for_the_same_encoder() {
    let mut gallery = filled(3, 20);
    gallery.remove(4);
    let mut bytes = vec![0; Gallery::<E, 64>::MAX_IMAGE_BYTES];
    let length = gallery.to_bytes(&encoder(1), &mut bytes).unwrap();
    assert_eq!(length, gallery.image_bytes());
    assert_eq!(gallery.to_bytes(&encoder(1), &mut bytes[..length - 1]), Err(ImageError::Buffer { needed: length }));
    gallery.to_bytes(&encoder(1), &mut bytes).unwrap();
    let mut restored = filled(9, 5);
    assert_eq!(restored.restore_bytes(&encoder(1), &bytes), Ok(()));
    assert_eq!(restored, gallery);
    assert_eq!(restored.restore_bytes(&encoder(2), &bytes), Err(ImageError::OtherEncoder));
    assert!(restored.is_empty());
    let mut small: Gallery<E, 18> = Gallery::new();
    assert_eq!(small.restore_bytes(&encoder(1), &bytes), Err(ImageError::TooMany { entries: 19 }));
    let mut narrow: Gallery<23, 64> = Gallery::new();
    assert_eq!(narrow.restore_bytes(&encoder(1), &bytes), Err(ImageError::Damaged));
}

#[test]
fn every_truncation_and_every_changed_byte_is_refused() {
    let gallery = filled(3, 6);
    let mut bytes = vec![0; gallery.image_bytes()];
    gallery.to_bytes(&encoder(1), &mut bytes).unwrap();
    let mut restored: Gallery<E, 64> = Gallery::new();
    for n in 0..bytes.len() {
        assert_eq!(restored.restore_bytes(&encoder(1), &bytes[..n]), Err(ImageError::Damaged), "{n}");
    }
    for i in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[i] ^= 0x10;
        assert_eq!(restored.restore_bytes(&encoder(1), &changed), Err(ImageError::Damaged), "byte {i}");
    }
}

static ENCODER: LazyLock<EncoderId> = LazyLock::new(|| encoder(1));

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut gallery: Gallery<4, 4> = Gallery::new();
        let _ = gallery.restore_bytes(&ENCODER, &bytes);
    }

    /// Bytes with right checksums and arbitrary fields: nothing but the checks behind them protects the gallery.
    #[test]
    fn resealed_nonsense_never_panics(fields in prop::collection::vec(any::<u32>(), 3), near in any::<bool>(), body in prop::collection::vec(any::<u8>(), 0..120)) {
        let mut bytes = vec![0; 64];
        Gallery::<4, 4>::new().to_bytes(&ENCODER, &mut bytes).unwrap();
        let mut put = |at: usize, word: u32| bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
        put(12, body.len() as u32);
        put(16, ldae_shared::crc::crc32(&body));
        put(20, if near { body.len() as u32 / 12 } else { fields[0] });
        put(24, fields[1]);
        put(28, if near { 4 } else { fields[2] });
        let crc = ldae_shared::crc::crc32(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&body);
        let mut gallery: Gallery<4, 4> = Gallery::new();
        match gallery.restore_bytes(&ENCODER, &bytes) {
            Ok(()) => prop_assert!(gallery.entries().is_sorted_by(|a, b| a.id < b.id)),
            Err(_) => prop_assert!(gallery.is_empty()),
        }
    }
}
