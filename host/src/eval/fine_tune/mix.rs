//! MixUp (Zhang et al., arXiv 1710.09412) and CutMix (Yun et al., arXiv 1905.04899): pictures of a batch are mixed in pairs, labels in the
//! same proportion. One kind and one proportion a batch; the partner of picture i of B is picture B − 1 − i.

use ldae_shared::noise::{Purpose, Stream};

/// Parameters of the Beta distributions of the proportion (METHOD.md section 1).
const MIXUP: f64 = 0.8;
const CUTMIX: f64 = 1.0;

/// How the pairs of a batch are mixed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    /// Share of the first picture in the label.
    pub share: f32,
    /// CutMix: rows and columns that come from the partner. `None` for MixUp: every pixel is mixed.
    pub cut: Option<[usize; 4]>,
}

impl Mix {
    /// The mix of one batch of pictures of side `side`: MixUp or CutMix, evenly.
    pub fn draw(seed: u64, epoch: u32, first_sample: u32, side: usize) -> Self {
        // No masks are drawn in fine-tuning, so their streams are free.
        let mut stream = Stream::new(seed, Purpose::Mask, epoch, first_sample);
        if stream.below(2) == 0 {
            return Mix { share: beta(&mut stream, MIXUP) as f32, cut: None };
        }
        // A box of area 1 − lambda anywhere, cut at the border; the label takes the area that is left.
        let lambda = beta(&mut stream, CUTMIX);
        let half = (side as f64 * (1.0 - lambda).sqrt() / 2.0).round() as usize;
        let mut range = || {
            let centre = stream.below(side as u32) as usize;
            [centre.saturating_sub(half), (centre + half).min(side)]
        };
        let ([top, bottom], [left, right]) = (range(), range());
        let area = (bottom - top) * (right - left);
        Mix { share: 1.0 - area as f32 / (side * side) as f32, cut: Some([top, bottom, left, right]) }
    }

    /// Mixes two pictures (u8 HWC) into pixel values 0 to 255.
    pub fn apply(&self, picture: &[u8], partner: &[u8], side: usize, out: &mut [f32]) {
        let channels = picture.len() / (side * side);
        for (i, (value, (a, b))) in out.iter_mut().zip(picture.iter().zip(partner)).enumerate() {
            let (row, column) = (i / channels / side, i / channels % side);
            let share = match self.cut {
                None => self.share,
                Some([top, bottom, left, right]) => {
                    f32::from(u8::from(!((top..bottom).contains(&row) && (left..right).contains(&column))))
                }
            };
            *value = share * f32::from(*a) + (1.0 - share) * f32::from(*b);
        }
    }
}

/// Beta(a, a) for a ≤ 1 by Jöhnk's method: X = U^(1/a), Y = V^(1/a), X/(X + Y) of the first pair with X + Y ≤ 1.
fn beta(stream: &mut Stream, a: f64) -> f64 {
    loop {
        let [x, y] = [(); 2].map(|()| f64::from(stream.uniform()).powf(1.0 / a));
        if x + y > 0.0 && x + y <= 1.0 {
            return x / (x + y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proportions_follow_the_beta_distribution() {
        for a in [MIXUP, CUTMIX] {
            let mut stream = Stream::new(1, Purpose::Mask, 0, 0);
            let samples: Vec<f64> = (0..20_000).map(|_| beta(&mut stream, a)).collect();
            let n = samples.len() as f64;
            let mean = samples.iter().sum::<f64>() / n;
            let variance = samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
            // Beta(a, a): mean 1/2, variance 1/(4(2a + 1)); five standard errors of the mean, 5 % of the variance.
            let expected = 1.0 / (4.0 * (2.0 * a + 1.0));
            assert!((mean - 0.5).abs() < 5.0 * (expected / n).sqrt(), "{mean}");
            assert!((variance / expected - 1.0).abs() < 0.05, "{variance} {expected}");
        }
    }

    #[test]
    fn labels_take_the_share_of_the_pixels() {
        let (side, channels) = (6, 3);
        let (ones, zeros) = (vec![1u8; side * side * channels], vec![0u8; side * side * channels]);
        let mut kinds = [0, 0];
        for batch in 0..200 {
            let mix = Mix::draw(5, 2, batch, side);
            kinds[usize::from(mix.cut.is_some())] += 1;
            let mut out = vec![f32::NAN; ones.len()];
            mix.apply(&ones, &zeros, side, &mut out);
            let mean = out.iter().sum::<f32>() / out.len() as f32;
            assert!((mean - mix.share).abs() < 1e-5, "{mix:?} {mean}");
            if let Some([top, bottom, left, right]) = mix.cut {
                for row in 0..side {
                    for column in 0..side {
                        let inside = row >= top && row < bottom && column >= left && column < right;
                        assert_eq!(out[(row * side + column) * channels] == 0.0, inside);
                    }
                }
            }
        }
        assert!(kinds.iter().all(|k| *k > 60), "{kinds:?}");
        assert_eq!(Mix::draw(5, 2, 7, side), Mix::draw(5, 2, 7, side));
    }
}
