//! Embeds pictures on a Linux board: from folders, standard input or a camera, with the integer engine or through tract.
//! Prints vectors, stores them, finds neighbours in a stored set.
#![deny(unsafe_code)]

mod camera;
mod engine;
mod error;
mod options;
mod output;
mod picture;
mod source;
mod store;

use engine::Engine;
use error::{Error, Result};
use ldae_shared::resize::{Picture, resize_crop};
use options::Options;
use output::{Line, Neighbour};
use source::Source;
use std::io::{BufWriter, ErrorKind, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use store::Set;

fn main() -> ExitCode {
    let done = options::parse(std::env::args_os().skip(1)).and_then(|options| match options {
        Some(options) => run(&options),
        None => {
            println!("{}", options::HELP);
            Ok(true)
        }
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(e) => {
            eprintln!("{e}");
            ExitCode::from(2)
        }
    }
}

/// True when every picture was read.
fn run(options: &Options) -> Result<bool> {
    let began = Instant::now();
    let mut engine = Engine::open(&options.encoder, options.engine)?;
    let loading = began.elapsed();
    let spec = *engine.spec();
    let components = spec.embedding() as usize;
    let set = options.set.as_deref().map(Set::read).transpose()?;
    if let Some(set) = set.as_ref().filter(|s| s.components != components) {
        return Err(Error::new(format!("the set has {} components, the encoder {components}", set.components))
            .hint("store the set with the same encoder"));
    }
    let mut store = options.store.as_ref().map(|_| Set::new(components));
    let mut source = Source::open(&options.input)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut embedding = vec![0f32; components];
    let (mut count, mut bad, mut embedding_time) = (0usize, 0usize, Duration::ZERO);
    while count < options.limit
        && let Some((name, pixels)) = source.next()?
    {
        let shaped = pixels.and_then(|p| {
            let picture = Picture::new(p.width, p.height, p.channels, &p.bytes).ok_or("no pixels")?;
            Ok(resize_crop(&picture, spec.image.into(), spec.channels.into()))
        });
        let pixels = match shaped {
            Ok(pixels) => pixels,
            Err(why) => {
                eprintln!("skipped {name}: {why}");
                bad += 1;
                continue;
            }
        };
        let began = Instant::now();
        engine.embed(&pixels, &mut embedding)?;
        embedding_time += began.elapsed();
        count += 1;
        let neighbours = set.as_ref().map(|set| {
            let near = set.neighbours(&embedding, options.neighbours);
            near.into_iter().map(|(name, cosine)| Neighbour { name, cosine }).collect()
        });
        let line = Line { name: &name, embedding: &embedding, neighbours };
        let written = if options.json { line.json(&mut out) } else { line.text(&mut out, store.is_some()) };
        // A camera's pictures are wanted one by one.
        if let Err(e) = written.and_then(|()| out.flush()) {
            return stopped(&e);
        }
        if let Some(store) = &mut store {
            store.push(&name, &embedding);
        }
    }
    if let (Some(store), Some(path)) = (&store, &options.store) {
        store.write(path)?;
    }
    if options.stats {
        let each = embedding_time.as_secs_f64() * 1e3 / count.max(1) as f64;
        eprintln!(
            "{}: loaded in {:.1} ms, {count} pictures, {each:.3} ms each, {bad} skipped, {}",
            engine.name(),
            loading.as_secs_f64() * 1e3,
            peak_memory().unwrap_or_else(|| "peak memory unknown".into())
        );
    }
    if count == 0 && bad > 0 {
        return Err(Error::new(format!("none of {bad} pictures could be read")).hint("pictures are JPEG or PNG"));
    }
    Ok(bad == 0)
}

/// A reader that has seen enough (`| head`) is no error.
fn stopped(e: &std::io::Error) -> Result<bool> {
    match e.kind() {
        ErrorKind::BrokenPipe => Ok(true),
        _ => Err(Error::new(format!("cannot write to standard output: {e}"))),
    }
}

/// The most memory that this process held so far, from Linux.
fn peak_memory() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(format!("peak memory {:.1} MB", kilobytes * 1024.0 / 1e6))
}
