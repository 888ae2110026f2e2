//! The gallery of a board and the k-NN evaluation of the workstation: the same codes, the same neighbours, the same votes.

use ldae_device::gallery::{Gallery, Match};
use ldae_device::{Embedding, Encoder, Scratch, scratch_bytes};
use ldae_host::data::{LoadOptions, Split, load};
use ldae_host::eval::{Features, knn};
use ldae_shared::format::{Artifact, ArtifactDesc, Fill};
use ldae_shared::spec::{EncoderSpec, PRESETS};

const SPEC: EncoderSpec = PRESETS[0].spec;
const E: usize = SPEC.embedding() as usize;
const CAP: usize = 200;
const QUERIES: usize = 100;

/// Codes and squared norm of each picture, as a board computes them.
fn embed(encoder: &Encoder<'_>, split: &Split) -> Vec<(Vec<i8>, u32)> {
    let (mut scratch, mut codes) = (Scratch::<{ scratch_bytes(&SPEC) }>::new(), [0; E]);
    (0..split.len())
        .map(|i| {
            let embedding = encoder.embed(split.image(i), &mut scratch.0, &mut codes).unwrap();
            (embedding.codes.to_vec(), embedding.norm2)
        })
        .collect()
}

fn features(embeddings: &[(Vec<i8>, u32)]) -> Features {
    let values = embeddings.iter().flat_map(|(codes, _)| codes).map(|&c| f32::from(c)).collect();
    Features::new(embeddings.len(), E, values).unwrap()
}

#[test]
fn board_and_workstation_find_the_same_neighbours_and_classes() {
    let set = load(&format!("drawn:train={CAP},test={QUERIES}"), &LoadOptions::default()).unwrap();
    let (known, asked) = (&set.train, set.held_out());
    let artifact = ArtifactDesc::synthetic(SPEC, Fill::Random, 1).write(|_| [0; 32]).unwrap();
    let encoder = Encoder::portable(Artifact::parse(&artifact).unwrap());
    let (examples, queries) = (embed(&encoder, known), embed(&encoder, asked));
    let mut gallery: Box<Gallery<E, CAP>> = Box::default();
    for ((codes, norm2), i) in examples.iter().zip(0..) {
        let id = gallery.add(Embedding { codes, norm2: *norm2 }, known.label(i).unwrap()).unwrap();
        assert_eq!(id as usize, i);
    }
    let labels = known.labels().unwrap();
    let on_host = knn::neighbours(&features(&queries), &features(&examples), knn::K, false).unwrap();
    for ((codes, norm2), host) in queries.iter().zip(&on_host) {
        let query = Embedding { codes, norm2: *norm2 };
        let mut places = [Match::NONE; knn::K];
        let board = gallery.nearest_k(query, &mut places).unwrap();
        for (b, h) in board.iter().zip(host) {
            let cosine = f64::from(b.cosine) / 32768.0;
            assert!((cosine - f64::from(h.similarity)).abs() < 2e-5, "{cosine} {}", h.similarity);
            // The host compares in f32: where two similarities are closer than that, the board's exact order counts.
            let alone = host.iter().filter(|o| (o.similarity - h.similarity).abs() < 1e-6).count() == 1;
            assert!(!alone || b.id == h.index, "{board:?}\n{host:?}");
        }
        let vote = gallery.classify(query, &mut [Match::NONE; knn::K]).unwrap().unwrap();
        assert_eq!(vote.label, knn::vote(host, labels));
    }
}
