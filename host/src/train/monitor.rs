//! Is the encoder learning something, and has it collapsed? k-NN accuracy and the spread of the embeddings, measured
//! with the averaged weights on clean pictures at the embedding time step.

use super::batch::patches;
use super::objective::Objective;
use super::workers::Workers;
use crate::data::Split;
use crate::eval::{Features, knn, standardise};
use crate::model::eigen::symmetric_eigenvalues;
use crate::{Error, Result};
use burn::tensor::{Device, Tensor};
use ldae_shared::patch::PatchGrid;

/// Pictures of one forward pass.
const PART: usize = 32;
/// Below this spread, or this effective rank, the run is told to have collapsed: embeddings of different pictures
/// are then equal to within a percent, or vary along a single direction.
const COLLAPSED_STD: f64 = 0.01;
const COLLAPSED_RANK: f64 = 1.5;

/// What the check needs that does not change.
#[derive(Debug)]
pub struct Monitor<'a> {
    /// What is trained.
    pub objective: &'a Objective,
    /// Where the tensors are.
    pub device: &'a Device,
    /// Threads.
    pub workers: &'a Workers,
    /// Gallery.
    pub train: Split,
    /// Queries.
    pub test: Split,
}

/// Result of one check.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Health {
    /// k-NN accuracy in percent, with labels only.
    pub knn: Option<f64>,
    /// See [`super::metrics::ProbeLine`].
    pub embedding_std: f64,
    /// See [`super::metrics::ProbeLine`].
    pub effective_rank: f64,
}

impl Health {
    /// True when the embeddings of different pictures have become one.
    pub fn collapsed(&self) -> bool {
        self.embedding_std < COLLAPSED_STD || self.effective_rank < COLLAPSED_RANK
    }
}

impl Monitor<'_> {
    /// Checks the encoder with these weights. k-NN: k = 20, cosine, on standardised features pooled as mean and
    /// deviation over tokens.
    ///
    /// # Errors
    /// A feature is not finite.
    pub fn check(&self, parameters: &[Tensor<1>]) -> Result<Health> {
        let mut test = self.features(parameters, &self.test)?;
        let (embedding_std, effective_rank) = spread(&test, usize::from(self.objective.frame().spec().encoder.width))?;
        let knn = match (self.train.labels(), self.test.labels()) {
            (Some(train_labels), Some(test_labels)) => {
                let mut train = self.features(parameters, &self.train)?;
                standardise::standardise(&mut train, &mut test)?;
                let k = knn::K.min(train.rows());
                Some(100.0 * knn::accuracy(&train, train_labels, &test, test_labels, k)?)
            }
            _ => None,
        };
        Ok(Health { knn, embedding_std, effective_rank })
    }

    /// Mean and deviation over tokens of the encoder's output: 2·W components a picture.
    fn features(&self, parameters: &[Tensor<1>], split: &Split) -> Result<Features> {
        let width = usize::from(self.objective.frame().spec().encoder.width);
        let net = self.objective.frame().build(parameters);
        let grid = PatchGrid::of(&self.objective.frame().spec().encoder)
            .ok_or_else(|| Error::new("the patch side does not divide the image side"))?;
        let mut values = Vec::with_capacity(split.len() * 2 * width);
        let mut failed = None;
        self.workers.for_each_in_order(
            split.len().div_ceil(PART),
            |part| {
                let pictures: Vec<&[u8]> =
                    (part * PART..split.len().min((part + 1) * PART)).map(|i| split.image(i)).collect();
                pool(self.objective.tokens(&net, patches(grid, &pictures, self.device)))
            },
            |_, part: Result<Vec<f32>>| match part {
                Ok(part) => values.extend(part),
                Err(error) => failed = Some(error),
            },
        );
        match failed {
            Some(error) => Err(error),
            None => Features::new(split.len(), 2 * width, values),
        }
    }
}

/// [B, N, W] → B rows of W means, then W deviations (population) over the tokens.
fn pool(tokens: Tensor<3>) -> Result<Vec<f32>> {
    let [b, n, w] = tokens.dims();
    let tokens =
        tokens.into_data().try_to_vec::<f32>().map_err(|e| Error::new(format!("cannot read features: {e:?}")))?;
    let mut pooled = Vec::with_capacity(b * 2 * w);
    for picture in tokens.chunks_exact(n * w) {
        let mut mean = vec![0f64; w];
        let mut square = vec![0f64; w];
        for token in picture.chunks_exact(w) {
            for (c, &value) in token.iter().enumerate() {
                mean[c] += f64::from(value);
                square[c] += f64::from(value) * f64::from(value);
            }
        }
        mean.iter_mut().for_each(|m| *m /= n as f64);
        pooled.extend(mean.iter().map(|&m| m as f32));
        pooled.extend(mean.iter().zip(&square).map(|(m, s)| (s / n as f64 - m * m).max(0.0).sqrt() as f32));
    }
    Ok(pooled)
}

/// Spread of the first `width` components (the token means), each row normalised to length 1: deviation times
/// sqrt(width), and effective rank (Roy, Vetterli, "The effective rank", 2007).
fn spread(features: &Features, width: usize) -> Result<(f64, f64)> {
    let n = features.rows();
    let rows: Vec<Vec<f64>> = (0..n)
        .map(|i| {
            let row: Vec<f64> = features.row(i)[..width].iter().map(|&v| f64::from(v)).collect();
            let norm = row.iter().map(|v| v * v).sum::<f64>().sqrt().max(1e-12);
            row.into_iter().map(|v| v / norm).collect()
        })
        .collect();
    let mean: Vec<f64> = (0..width).map(|c| rows.iter().map(|r| r[c]).sum::<f64>() / n as f64).collect();
    let mut covariance = vec![0.0; width * width];
    for row in &rows {
        for (i, line) in covariance.chunks_exact_mut(width).enumerate() {
            let left = (row[i] - mean[i]) / n as f64;
            line.iter_mut().zip(row.iter().zip(&mean)).for_each(|(c, (v, m))| *c += left * (v - m));
        }
    }
    let variance: f64 = (0..width).map(|i| covariance[i * width + i]).sum();
    if variance <= 0.0 {
        return Ok((0.0, 0.0));
    }
    let entropy: f64 = symmetric_eigenvalues(&covariance, width)?
        .into_iter()
        .map(|value| value / variance)
        .filter(|&share| share > 0.0)
        .map(|share| -share * share.ln())
        .sum();
    // Mean over components of the variance, times W: the sum. 1 when unit vectors spread evenly around zero.
    Ok((variance.sqrt(), entropy.exp()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ldae_shared::noise::{Purpose, Stream};

    #[test]
    fn spread_of_spheres_lines_and_points() {
        let mut stream = Stream::new(1, Purpose::Probe, 0, 0);
        let mut sphere = vec![0f32; 4000 * 8];
        stream.fill_gaussian(&mut sphere);
        let (std, rank) = spread(&Features::new(4000, 8, sphere).unwrap(), 8).unwrap();
        assert!((std - 1.0).abs() < 0.01 && (rank - 8.0).abs() < 0.1, "{std} {rank}");
        let line: Vec<f32> = (0..400).flat_map(|i| [1.0, if i % 2 == 0 { 0.5 } else { -0.5 }, 0.0]).collect();
        let (_, rank) = spread(&Features::new(400, 3, line).unwrap(), 3).unwrap();
        assert!((rank - 1.0).abs() < 1e-6);
        let (std, rank) = spread(&Features::new(10, 3, [1.0, 2.0, 3.0].repeat(10)).unwrap(), 3).unwrap();
        assert!(Health { knn: None, embedding_std: std, effective_rank: rank }.collapsed());
    }
}
