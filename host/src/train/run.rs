//! The training loop.

use super::batch::{Batches, Step};
use super::checkpoint::{self, Best, CHECKPOINT_FORMAT, Checkpoint, Header, to_device};
use super::config::TrainConfig;
use super::log::Log;
use super::metrics::{Interval, Line, Metrics, ProbeLine};
use super::monitor::{Health, Monitor};
use super::objective::Objective;
use super::optimiser::{self, Norm, State, Update};
use super::ranks::Ranks;
use super::step::{Gradients, Parts, mean_gradients};
use super::workers::Workers;
use super::{Mode, TrainSummary, directory};
use crate::cli::Output;
use crate::data::Dataset;
use crate::model::init::init_parameters;
use crate::model::is_cpu;
use crate::model::layout::Group;
use crate::model::net::Frame;
use crate::model::pca::{self, PatchPca};
use crate::run_dir::RunDir;
use crate::tokenizer::{self, Material, Tokenizer};
use crate::{Error, Result};
use burn::tensor::{Device, Tensor, TensorData};
use ldae_shared::patch::PatchGrid;
use std::time::Instant;

struct Trainer<'a> {
    config: &'a TrainConfig,
    run: &'a RunDir,
    out: &'a Output,
    objective: &'a Objective,
    workers: &'a Workers,
    shards: usize,
    monitor: Monitor<'a>,
    batches: Batches<'a>,
    pca: &'a PatchPca,
    tokenizer: &'a Tokenizer,
    device: &'a Device,
    state: State,
    /// Files of the run, of the process that writes them.
    record: Option<Record>,
    ranks: &'a dyn Ranks,
    best: Option<Best>,
    last_health: Option<Health>,
    last_loss: f64,
    decayed: Vec<bool>,
}

/// What grows during a run.
struct Record {
    metrics: Metrics,
    log: Log,
}

/// What a step left on the device.
struct Unread {
    step: Step,
    losses: Tensor<1>,
    norm: Norm,
}

/// A run to train.
#[derive(Clone, Copy)]
pub struct Job<'a> {
    /// Resolved configuration.
    pub config: &'a TrainConfig,
    /// Pictures; `dataset.train` is trained on.
    pub dataset: &'a Dataset,
    /// Where it is written.
    pub run: &'a RunDir,
    /// What may happen to a directory that already holds something.
    pub mode: Mode,
    /// Where tensors are.
    pub device: &'a Device,
    /// The processes that train together ([`Alone`](super::ranks::Alone)): all of them have the same job, rank 0 writes it.
    pub ranks: &'a dyn Ranks,
}

/// Trains a run, or goes on training it.
///
/// # Errors
/// The directory holds another run, cannot be written, or the loss is no longer finite. An error of one process is not known to
/// the others: the caller ends them.
pub fn run(job: &Job<'_>, out: &Output) -> Result<TrainSummary> {
    run_until(job, job.config.optimiser.steps, out)
}

/// [`run`], but stopping (without a checkpoint) after `stop` steps.
pub(super) fn run_until(job: &Job<'_>, stop: u64, out: &Output) -> Result<TrainSummary> {
    let &Job { config, dataset, run, mode, device, ranks } = job;
    let start = Instant::now();
    config.check_dataset(dataset)?;
    if config.optimiser.batch < ranks.count() {
        return Err(Error::new(format!(
            "{} processes cannot share batches of {}",
            ranks.count(),
            config.optimiser.batch
        ))
        .hint("train with a larger --batch, or start fewer processes"));
    }
    let spec = config.model_spec()?;
    let resumed = if ranks.leads() { directory::prepare(run, config, mode)? } else { None };
    // The others read what rank 0 goes on from, once it has decided.
    let resumed = match ranks.share(resumed.is_some().into()) {
        1 if !ranks.leads() => Some(Checkpoint::load(&run.checkpoint("last"))?),
        _ => resumed,
    };
    let grid =
        PatchGrid::of(&spec.encoder).ok_or_else(|| Error::new("the patch side does not divide the image side"))?;
    let split = &dataset.train;
    let o = &config.optimiser;
    let frame = Frame::new(spec, device).with_precision(o.precision);
    // A GPU takes the parts of a batch one after the other, from one thread.
    let workers = if is_cpu(device) { Workers::all_cores()? } else { Workers::new(1)? };
    let (pca, tokenizer, state, best, valid) = match resumed {
        Some(checkpoint) => (
            checkpoint.pca(),
            checkpoint.tokenizer()?,
            checkpoint.state(device),
            checkpoint.header.best.clone(),
            checkpoint.header.metrics_bytes,
        ),
        None => {
            let rank = spec.encoder.rank.into();
            let pca = pca::fit(grid, rank, split.len(), |i| split.image(i), o.pca_patches, o.seed)?;
            let with = (&workers, device, out);
            let material = Material { split, fingerprint: &dataset.fingerprint, pca: &pca };
            let tokenizer = tokenizer::fit(&config.tokenizer(&spec.encoder), &material, o.seed, with)?;
            (pca, tokenizer, State::new(to_device(&init_parameters(&spec, o.seed), device)), None, 0)
        }
    };
    let space = tokenizer.on(device);
    let t = config.schedule.t_embed;
    let objective = Objective::new(&config.recipe, frame, space, o.residual_weight as f32, t, device);
    let layout = objective.frame().layout();
    let shards = if is_cpu(device) { o.shards } else { o.accumulate };
    let batches =
        Batches::new(split, grid, spec.encoder.rank.into(), o.batch, config.data.augment, o.seed).ahead_of(device);
    if batches.noise_is_made_on_device() == Some(false) {
        out.warn("the device does not compute the noise of the host: it is made on the CPU, which is slower");
    }
    let mut trainer = Trainer {
        config,
        run,
        out,
        objective: &objective,
        workers: &workers,
        shards,
        monitor: Monitor {
            objective: &objective,
            device,
            workers: &workers,
            train: split.limit(config.schedule.knn_train),
            test: dataset.held_out().limit(config.schedule.knn_test),
        },
        batches,
        pca: &pca,
        tokenizer: &tokenizer,
        device,
        record: ranks
            .leads()
            .then(|| {
                Ok::<_, Error>(Record { metrics: Metrics::open(&run.metrics(), valid)?, log: Log::open(&run.log())? })
            })
            .transpose()?,
        ranks,
        best,
        last_health: None,
        last_loss: f64::NAN,
        decayed: layout.iter().map(|p| p.group == Group::Weight).collect(),
        state,
    };
    let first = trainer.state.step;
    trainer.log(|| format!("step {first} of {}: {} training pictures", o.steps, split.len()));
    if ranks.count() > 1 {
        trainer.log(|| format!("{} processes", ranks.count()));
    }
    if pca.eigenvalues.is_empty() {
        trainer.restore_last()?;
    }
    trainer.steps(stop)?;
    let seconds = start.elapsed().as_secs_f64();
    let steps = trainer.state.step;
    let summary = TrainSummary {
        run: run.root().display().to_string(),
        steps,
        epochs: trainer.epoch(steps),
        loss: trainer.last_loss,
        knn: trainer.last_health.and_then(|h| h.knn),
        best: trainer.best.clone(),
        collapsed: trainer.last_health.is_some_and(|h| h.collapsed()),
        parameters: layout.iter().map(crate::model::layout::Parameter::len).sum(),
        pca_explained: (!pca.eigenvalues.is_empty()).then(|| pca.explained(spec.encoder.rank.into())),
        seconds,
        pictures_per_second: ((steps - first) as usize * o.batch) as f64 / seconds,
    };
    trainer.log(|| format!("done: {:.1} pictures/s over {seconds:.0} s", summary.pictures_per_second));
    Ok(summary)
}

impl Trainer<'_> {
    fn log(&mut self, text: impl FnOnce() -> String) {
        if let Some(record) = &mut self.record {
            record.log.line(&text());
        }
    }

    fn write(&mut self, line: &Line) -> Result<()> {
        self.record.as_mut().map_or(Ok(()), |record| record.metrics.write(line))
    }

    fn epoch(&self, step: u64) -> f64 {
        step as f64 / self.batches.steps_per_epoch() as f64
    }

    /// Last loss and health of a resumed run, from its metrics.
    fn restore_last(&mut self) -> Result<()> {
        for line in super::metrics::read(&self.run.metrics())? {
            match line {
                Line::Train(line) => self.last_loss = line.loss,
                Line::Probe(line) => {
                    self.last_health = Some(Health {
                        knn: line.knn,
                        embedding_std: line.embedding_std,
                        effective_rank: line.effective_rank,
                    });
                }
            }
        }
        Ok(())
    }

    fn steps(&mut self, stop: u64) -> Result<()> {
        let (o, s) = (&self.config.optimiser, &self.config.schedule);
        let bar = self.out.progress("train", o.steps * o.batch as u64);
        bar.set_position(self.state.step * o.batch as u64);
        bar.reset_eta();
        let mut interval = Interval::default();
        let mut unread: Vec<Unread> = Vec::new();
        if self.state.step == 0 {
            // The untrained encoder, where every curve starts.
            self.check_health()?;
        }
        let mut since = (Instant::now(), self.state.step);
        while self.state.step < o.steps.min(stop) {
            let step = self.batches.step(self.state.step);
            let result = self.gradients(&step)?;
            let norm = optimiser::global_norm(&result.gradients, self.workers);
            let learning_rate = optimiser::learning_rate(o.learning_rate, self.state.step, o.warmup, o.steps);
            let update =
                Update { learning_rate, weight_decay: o.weight_decay, clip: o.clip, average_decay: o.average_decay };
            self.state.update(result.gradients, &norm, &self.decayed, &update, self.workers);
            unread.push(Unread { step, losses: result.losses, norm });
            bar.inc(o.batch as u64);
            let done = self.state.step;
            let last = done == o.steps;
            // A GPU is not waited for more often than that; on a CPU a loss that is not finite ends the run at once.
            if is_cpu(self.device) || done.is_multiple_of(s.log_every) || last {
                unread.drain(..).try_for_each(|step| self.read(step, &mut interval))?;
            }
            if done.is_multiple_of(s.log_every) || last {
                let line = interval.finish(done, self.epoch(done), learning_rate);
                self.last_loss = line.loss;
                bar.set_message(format!("loss {:.4}", line.loss));
                let rate = ((done - since.1) as usize * o.batch) as f64 / since.0.elapsed().as_secs_f64();
                since = (Instant::now(), done);
                self.log(|| format!("step {done} loss {:.5} {rate:.1} pictures/s", line.loss));
                self.write(&Line::Train(line))?;
            }
            if done.is_multiple_of(s.knn_every) || last {
                self.check_health()?;
                since.0 = Instant::now();
            }
            if self.ranks.leads() && (done.is_multiple_of(s.checkpoint_every) || last) {
                self.checkpoint()?.save(&self.run.checkpoint("last"))?;
                since.0 = Instant::now();
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Adds a step's losses and norm to the interval.
    fn read(&self, unread: Unread, interval: &mut Interval) -> Result<()> {
        let Unread { step, losses, norm } = unread;
        let (losses, norm) = (checkpoint::read_tensor(&losses)?, norm.read());
        self.check_finite(&losses, norm)?;
        let time_steps = self.objective.time_steps(&self.batches, step.epoch, &step.samples);
        interval.add(&losses, time_steps.as_deref(), norm);
        Ok(())
    }

    /// Gradient of the mean loss over a step's samples, of which this process computes its part.
    fn gradients(&self, step: &Step) -> Result<Gradients> {
        let (batches, objective) = (&self.batches, self.objective);
        let (count, mine) = (step.samples.len(), self.ranks.part(step.samples.len()));
        let shared = objective.shared(self.workers, self.shards, &self.state, batches, step);
        let shards = self.shards.div_ceil(self.ranks.count());
        let parts = Parts { count: shards, recompute: self.config.optimiser.recompute };
        let mut result = mean_gradients(self.workers, parts, mine.len(), &self.state.parameters, |range, leaves| {
            objective.losses(leaves, &shared, batches, step, mine.start + range.start..mine.start + range.end)
        });
        if self.ranks.count() > 1 {
            let losses = self.ranks.gather(&checkpoint::read_tensor(&result.losses)?);
            result.losses = Tensor::from_data(TensorData::new(losses, [count]), self.device);
            let share = mine.len() as f32 / count as f32;
            result.gradients = self.ranks.add_gradients(result.gradients, share)?;
        }
        Ok(result)
    }

    fn check_finite(&self, losses: &[f32], norm: f64) -> Result<()> {
        if norm.is_finite() && losses.iter().all(|loss| loss.is_finite()) {
            return Ok(());
        }
        Err(Error::new(format!("the loss is no longer finite at step {}: training stopped", self.state.step + 1)).hint(
            format!(
                "train again with a smaller --lr (it was {}) or a longer --warmup; the last good weights are in {}",
                self.config.optimiser.learning_rate,
                self.run.checkpoint("last").display()
            ),
        ))
    }

    /// k-NN and collapse check of the averaged weights; keeps `best`, for which the untrained encoder is no candidate.
    fn check_health(&mut self) -> Result<()> {
        if !self.ranks.leads() {
            return Ok(());
        }
        let step = self.state.step;
        let health = self.monitor.check(&self.state.average)?;
        self.write(&Line::Probe(ProbeLine {
            step,
            epoch: self.epoch(step),
            knn: health.knn,
            embedding_std: health.embedding_std,
            effective_rank: health.effective_rank,
        }))?;
        let knn = health.knn.map_or(String::new(), |k| format!(" k-NN {k:.1} %"));
        self.log(|| format!("step {step}{knn} effective rank {:.1}", health.effective_rank));
        self.last_health = Some(health);
        if step == 0 {
            return Ok(());
        }
        if health.collapsed() {
            let text = format!(
                "the embeddings collapsed at step {step} (spread {:.4}, effective rank {:.2}): a smaller --lr or more varied pictures may help",
                health.embedding_std, health.effective_rank
            );
            self.log(|| text.clone());
            self.out.warn(text);
        }
        let (metric, value) = health.knn.map_or(("loss", self.last_loss as f32), |knn| ("knn", knn as f32));
        let better = self.best.as_ref().is_none_or(|b| if metric == "knn" { value > b.value } else { value < b.value });
        if better {
            self.best = Some(Best { metric: metric.to_owned(), value, step });
            self.checkpoint()?.save(&self.run.checkpoint("best"))?;
        }
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<Checkpoint> {
        let header = Header {
            format: CHECKPOINT_FORMAT,
            tool: concat!("ldae ", env!("CARGO_PKG_VERSION")).to_owned(),
            step: self.state.step,
            epoch: self.epoch(self.state.step),
            seed: self.config.optimiser.seed,
            config: self.config.clone(),
            config_sha256: self.config.hash()?,
            metrics_bytes: self.record.as_mut().map_or(Ok(0), |record| record.metrics.synced_bytes())?,
            best: self.best.clone(),
            sha256: String::new(),
        };
        Checkpoint::new(header, *self.objective.frame().spec(), &self.state, self.pca, self.tokenizer)
    }
}
