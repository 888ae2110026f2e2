//! Several sessions at once give the bits of one alone.

use super::order::MODEL;
use super::{Found, Outcome, Suite, on_each};
use crate::model::{Model, drawn};
use crate::runtime::Runtime;

/// Sessions at once.
const THREADS: usize = 4;
/// Pictures of each.
const COUNT: usize = 8;

/// Four threads with a session each.
pub(super) const CONCURRENCY: Suite =
    Suite { name: "concurrency", about: "four sessions at once give the bits of one alone", run: concurrency };

fn alone(runtime: &dyn Runtime, model: &Model, pictures: &[&[u8]]) -> Result<Vec<Vec<f32>>, String> {
    let mut all = Vec::new();
    runtime.with(model, &mut |session| {
        for p in pictures {
            all.extend(session.embed_all(&[p], model.spec.embedding() as usize)?);
        }
        Ok(())
    })?;
    Ok(all)
}

fn concurrency(runtime: &dyn Runtime) -> Outcome {
    on_each(&MODEL, |model| {
        let [_, set] = drawn(&model.spec, 1, COUNT, 13)?;
        let pictures: Vec<&[u8]> = (0..COUNT).map(|i| set.image(i)).collect();
        let wanted = alone(runtime, model, &pictures)?;
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(|| alone(runtime, model, &pictures))).collect();
            threads.into_iter().try_for_each(|thread| {
                let got = thread.join().map_err(|_| "a session panicked".to_owned())??;
                if got == wanted { Ok(()) } else { Err("other bits beside other sessions".to_owned()) }
            })
        })?;
        Ok(Found { worst: 0.0, compared: THREADS * COUNT })
    })
}
