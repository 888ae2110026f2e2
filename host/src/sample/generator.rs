//! Pictures from a trained run: latents sampled with its averaged weights, decoded by its tokenizer.

use super::{Answer, Sampler, Settings, sample};
use crate::model::block::one_hot;
use crate::recipe::{self, Recipe};
use crate::train::checkpoint::{Checkpoint, Which, to_device};
use crate::train::objective::Objective;
use crate::train::reconstruct::to_pictures;
use crate::train::workers::Workers;
use crate::{Error, Result};
use burn::tensor::{Device, Tensor};
use ldae_shared::patch::PatchGrid;

/// Pictures of one part of the work; each is drawn by one core.
const PART: u32 = 16;

/// What to draw.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Pictures.
    pub count: u32,
    /// Steps of the sampler.
    pub steps: u32,
    /// How a step is taken.
    pub sampler: Sampler,
    /// Random seed.
    pub seed: u64,
    /// One class for all pictures of a class-conditional run; without it, picture i has class i modulo their number.
    pub class: Option<u16>,
}

/// A run that draws pictures.
#[derive(Debug)]
pub struct Generator {
    objective: Objective,
    parameters: Vec<Tensor<1>>,
    recipe: Recipe,
    grid: PatchGrid,
    device: Device,
}

impl Generator {
    /// Opens a checkpoint.
    ///
    /// # Errors
    /// Its recipe does not draw pictures.
    pub fn open(checkpoint: &Checkpoint, device: &Device) -> Result<Self> {
        let config = &checkpoint.header.config;
        check(&config.recipe)?;
        let spec = *checkpoint.spec();
        let grid =
            PatchGrid::of(&spec.encoder).ok_or_else(|| Error::new("the patch side does not divide the image side"))?;
        Ok(Generator {
            objective: Objective::of(checkpoint, device)?,
            parameters: to_device(&checkpoint.parameters(Which::Average), device),
            recipe: config.recipe.clone(),
            grid,
            device: device.clone(),
        })
    }

    /// Classes that a picture can be drawn of; 0 for a run without labels.
    pub fn classes(&self) -> usize {
        self.objective.frame().spec().classes
    }

    /// Class of each picture, of a class-conditional run.
    ///
    /// # Errors
    /// There is no such class, or the run knows none.
    pub fn labels(&self, request: &Request) -> Result<Option<Vec<u16>>> {
        let classes = self.classes();
        match request.class {
            Some(_) if classes == 0 => Err(Error::new(format!(
                "recipe `{}` was not told the classes, so it cannot draw one",
                self.recipe.name
            ))
            .hint("leave out --class, or sample from a run of recipe dit-baseline")),
            Some(class) if usize::from(class) >= classes => {
                Err(Error::new(format!("there is no class {class}")).hint(format!("choose 0 to {}", classes - 1)))
            }
            _ if classes == 0 => Ok(None),
            class => Ok(Some((0..request.count).map(|i| class.unwrap_or((i as usize % classes) as u16)).collect())),
        }
    }

    /// Draws pictures, u8 HWC of the model's side and channels; `done` hears of each part. Picture i is a function of the weights, the
    /// request's seed, sampler and steps, its class and i.
    ///
    /// # Errors
    /// The number of steps cannot be sampled, there is no such class, or the device does not hand over its values.
    pub fn draw(&self, request: &Request, workers: &Workers, done: impl Fn(u64) + Sync) -> Result<Vec<Vec<u8>>> {
        let labels = self.labels(request)?;
        let parts = request.count.div_ceil(PART);
        let mut all = Vec::with_capacity(request.count as usize);
        let part = |i: usize| {
            let range = i as u32 * PART..request.count.min((i as u32 + 1) * PART);
            let labels = labels.as_ref().map(|l| &l[range.start as usize..range.end as usize]);
            let drawn = self.latents(request, range.clone(), labels).and_then(|z| self.pictures(z));
            done(range.len() as u64);
            drawn
        };
        workers.for_each_in_order(parts as usize, part, |_, pictures| all.push(pictures));
        Ok(all.into_iter().collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// z0 [B, N, K] of unit scale.
    fn latents(&self, request: &Request, range: std::ops::Range<u32>, labels: Option<&[u16]>) -> Result<Tensor<3>> {
        let denoising = self.objective.denoising().ok_or_else(|| Error::new("the recipe does not denoise"))?;
        let frame = self.objective.frame();
        let (net, rank) = (frame.build(&self.parameters), usize::from(frame.spec().encoder.rank));
        let settings = Settings {
            schedule: denoising.parts().schedule,
            sampler: request.sampler,
            steps: request.steps,
            shape: [self.grid.tokens(), rank],
            seed: request.seed,
        };
        let b = range.len();
        // One at each picture's class, [B, classes + 1]; the last column stands for a class that is not said.
        let classes =
            labels.map(|l| one_hot(self.classes() + 1, l.iter().map(|&label| usize::from(label)), &self.device));
        sample(&settings, range, &self.device, |z, t| {
            Answer::Clean(denoising.estimate(&net, z, &vec![t; b], classes.as_ref()))
        })
    }

    /// Latents [B, N, K] as pictures.
    fn pictures(&self, latents: Tensor<3>) -> Result<Vec<Vec<u8>>> {
        let denoising = self.objective.denoising().ok_or_else(|| Error::new("the recipe does not denoise"))?;
        let space = denoising.space();
        to_pictures(self.grid, space.decode(latents.mul_scalar(space.scale())))
    }
}

/// Refuses recipes that draw no pictures.
fn check(recipe: &Recipe) -> Result<()> {
    if recipe.generates() {
        return Ok(());
    }
    let able = |name: &&str| recipe::named(name).is_ok_and(|r| r.generates());
    let names: Vec<&str> = recipe::NAMES.into_iter().filter(able).collect();
    Err(Error::new(format!("recipe `{}` draws no pictures", recipe.name))
        .hint(format!("these do: {}", names.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Output;
    use crate::data::{LoadOptions, load};
    use crate::recipe::TokenizerKind;
    use crate::run_dir::RunDir;
    use crate::train::{Job, Mode, TrainOptions, ranks::Alone, run};

    /// Twenty steps on drawn pictures of 8x8x3, patch PCA whatever the recipe.
    fn generator(recipe: &str) -> Generator {
        let (folder, device) = (tempfile::tempdir().unwrap(), Device::flex());
        let dataset = load("drawn:train=64,test=20,side=8", &LoadOptions::default()).unwrap();
        let options = TrainOptions {
            recipe: Some(recipe.to_owned()),
            tokenizer: Some(TokenizerKind::PatchPca),
            image: Some(8),
            patch: Some(4),
            rank: Some(12),
            width: Some(16),
            depth: Some(1),
            heads: Some(2),
            batch: Some(16),
            steps: Some(20),
            lr: Some(5e-3),
            pca_patches: Some(2000),
            ..TrainOptions::default()
        };
        let (config, _) = options.resolve(&dataset).unwrap();
        let run_dir = RunDir::new(folder.path());
        let job = Job {
            config: &config,
            dataset: &dataset,
            run: &run_dir,
            mode: Mode::Overwrite,
            device: &device,
            ranks: &Alone,
        };
        run(&job, &Output::silent()).unwrap();
        Generator::open(&Checkpoint::load(&run_dir.checkpoint("last")).unwrap(), &device).unwrap()
    }

    fn request(count: u32, class: Option<u16>) -> Request {
        Request { count, steps: 5, sampler: Sampler::Ancestral, seed: 7, class }
    }

    #[test]
    fn pictures_do_not_depend_on_those_beside_them_or_on_workers() {
        let generator = generator("tok-patch-pca");
        let draw =
            |request: &Request, workers| generator.draw(request, &Workers::new(workers).unwrap(), |_| ()).unwrap();
        let (many, few) = (draw(&request(20, None), 3), draw(&request(3, None), 1));
        assert_eq!((many.len(), many[0].len()), (20, 8 * 8 * 3));
        assert_eq!(many[..3], few);
        assert_eq!(many[17..], draw(&request(20, None), 1)[17..]);
        assert_ne!(many[0], many[1]);
        assert_ne!(few, draw(&Request { seed: 8, ..request(3, None) }, 1));
        assert_ne!(few, draw(&Request { sampler: Sampler::Ddim, ..request(3, None) }, 1));
        let error = generator.labels(&request(1, Some(0))).unwrap_err();
        assert!(error.to_string().contains("was not told the classes"), "{error}");
    }

    #[test]
    fn classes_come_in_turn_or_as_asked() {
        let generator = generator("dit-baseline");
        assert_eq!(generator.labels(&request(12, None)).unwrap().unwrap()[8..], [8, 9, 0, 1]);
        assert!(generator.labels(&request(1, Some(10))).unwrap_err().to_string().contains("no class 10"));
        let draw = |class| generator.draw(&request(2, class), &Workers::new(1).unwrap(), |_| ()).unwrap();
        let (turn, zero, one) = (draw(None), draw(Some(0)), draw(Some(1)));
        assert_eq!((&turn[0], &turn[1]), (&zero[0], &one[1]));
        assert_ne!(zero[0], one[0]);
    }

    #[test]
    fn recipes_that_draw_nothing_name_those_that_do() {
        for name in ["mae", "moco-v3", "supervised", "l-dae-single-sigma"] {
            let error = check(&recipe::named(name).unwrap()).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            assert!(error.advice().unwrap().contains("dit-baseline, dit-uncond"), "{:?}", error.advice());
        }
        check(&recipe::named("dit-baseline").unwrap()).unwrap();
    }
}
