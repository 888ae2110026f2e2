//! How hard the drawn classes are without learning: k-NN accuracy of simple embeddings, by the protocol of `eval`.

use crate::data::{LoadOptions, Split, load};
use crate::eval::{Features, knn, standardise};
use ldae_shared::noise::{Purpose, Stream};

fn features(split: &Split, embed: impl Fn(&[u8]) -> Vec<f32>) -> Features {
    let rows: Vec<Vec<f32>> = (0..split.len()).map(|i| embed(split.image(i))).collect();
    Features::new(rows.len(), rows[0].len(), rows.concat()).unwrap()
}

fn accuracy(train: &Split, test: &Split, standard: bool, embed: impl Fn(&[u8]) -> Vec<f32>) -> f64 {
    let (mut a, mut b) = (features(train, &embed), features(test, &embed));
    if standard {
        standardise::standardise(&mut a, &mut b).unwrap();
    }
    100.0 * knn::accuracy(&a, train.labels().unwrap(), &b, test.labels().unwrap(), knn::K).unwrap()
}

fn pixels(image: &[u8]) -> Vec<f32> {
    image.iter().map(|&v| (f32::from(v) - 127.5) / 127.5).collect()
}

/// Mean and deviation over tokens.
fn pool(tokens: &[Vec<f32>]) -> Vec<f32> {
    let n = tokens.len() as f32;
    let dim = tokens[0].len();
    let mean: Vec<f32> = (0..dim).map(|d| tokens.iter().map(|t| t[d]).sum::<f32>() / n).collect();
    let dev = (0..dim).map(|d| (tokens.iter().map(|t| (t[d] - mean[d]).powi(2)).sum::<f32>() / n).sqrt());
    mean.iter().copied().chain(dev).collect()
}

fn patches(image: &[u8], side: usize) -> Vec<Vec<f32>> {
    let x = pixels(image);
    let grid = side / 4;
    (0..grid * grid)
        .map(|t| {
            let (r, c) = (t / grid * 4, t % grid * 4);
            (0..4).flat_map(|i| x[((r + i) * side + c) * 3..][..12].to_vec()).collect()
        })
        .collect()
}

/// Lowest cosine components of luma and colour differences: nearly the patch PCA of natural pictures.
fn cosine_components(patch: &[f32]) -> Vec<f32> {
    let mut out = Vec::new();
    for (plane, keep) in [([0.299, 0.587, 0.114], 4), ([1.0, -1.0, 0.0], 2), ([-0.5, -0.5, 1.0], 2)] {
        for (u, v) in (0..4).flat_map(|u| (0..4).map(move |v| (u, v))).filter(|(u, v)| u + v < keep) {
            let wave = |k: usize, i: usize| (std::f32::consts::PI * (i as f32 + 0.5) * k as f32 / 4.0).cos();
            out.push(
                (0..16)
                    .map(|p| {
                        let value: f32 = (0..3).map(|c| plane[c] * patch[p * 3 + c]).sum();
                        value * wave(u, p / 4) * wave(v, p % 4)
                    })
                    .sum(),
            );
        }
    }
    out
}

#[test]
#[ignore]
fn baselines() {
    let spec = std::env::var("DRAWN").unwrap_or("drawn:train=4000,test=1000".into());
    let set = load(&spec, &LoadOptions::default()).unwrap();
    let (train, test) = (&set.train, set.held_out());
    let side = set.side();
    println!("pixels {:.1} standardised {:.1}", accuracy(train, test, false, pixels), accuracy(train, test, true, pixels));
    let flat = |i: &[u8]| patches(i, side).iter().flat_map(|p| cosine_components(p)).collect::<Vec<f32>>();
    println!("latents flat {:.1}", accuracy(train, test, true, flat));
    let pooled = |i: &[u8]| pool(&patches(i, side).iter().map(|p| cosine_components(p)).collect::<Vec<_>>());
    println!("latents mean+std {:.1}", accuracy(train, test, true, pooled));
    let matrix = |tensor: u32, rows: usize, columns: usize| -> Vec<Vec<f32>> {
        let mut s = Stream::new(3, Purpose::Init, 0, tensor);
        (0..rows).map(|_| (0..columns).map(|_| s.gaussian() / (columns as f32).sqrt()).collect()).collect()
    };
    let (w1, w2) = (matrix(1, 64, 16), matrix(2, 128, 64 * 9));
    let apply = |w: &[Vec<f32>], x: &[f32]| -> Vec<f32> {
        w.iter().map(|r| r.iter().zip(x).map(|(a, b)| a * b).sum::<f32>().max(0.0)).collect()
    };
    let random = |i: &[u8], layers: usize| {
        let one: Vec<Vec<f32>> = patches(i, side).iter().map(|p| apply(&w1, &cosine_components(p))).collect();
        if layers == 1 {
            return pool(&one);
        }
        let grid = side / 4;
        let two: Vec<Vec<f32>> = (1..grid - 1)
            .flat_map(|r| (1..grid - 1).map(move |c| (r, c)))
            .map(|(r, c)| {
                let around: Vec<f32> =
                    (0..9).flat_map(|k| one[(r + k / 3 - 1) * grid + c + k % 3 - 1].clone()).collect();
                apply(&w2, &around)
            })
            .collect();
        pool(&two)
    };
    println!("random 1 layer {:.1}", accuracy(train, test, true, |i| random(i, 1)));
    println!("random 2 layers {:.1}", accuracy(train, test, true, |i| random(i, 2)));
}
