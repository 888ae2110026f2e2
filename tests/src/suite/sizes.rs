//! Pictures and outputs of the wrong size are refused, and the next right one is embedded as if nothing had been.

use super::order::MODEL;
use super::{Found, Outcome, Suite, on_each};
use crate::model::drawn;
use crate::runtime::Runtime;

/// Too little, too much, nothing.
pub(super) const WRONG_SIZES: Suite =
    Suite { name: "wrong sizes", about: "refuses pictures and outputs of other sizes, and goes on", run: wrong_sizes };

fn wrong_sizes(runtime: &dyn Runtime) -> Outcome {
    on_each(&MODEL, |model| {
        let [_, set] = drawn(&model.spec, 1, 1, 12)?;
        let picture = set.image(0);
        let (n, e) = (picture.len(), model.spec.embedding() as usize);
        let mut compared = 0;
        runtime.with(model, &mut |session| {
            let mut before = vec![f32::NAN; e];
            session.embed(picture, &mut before)?;
            for (bytes, components) in [(0, e), (n - 1, e), (n + 1, e), (2 * n, e), (n, 0), (n, e - 1), (n, e + 1)] {
                let mut out = vec![-1.0; components];
                let wrong: Vec<u8> = picture.iter().copied().cycle().take(bytes).collect();
                if session.embed(&wrong, &mut out).is_ok() {
                    return Err(format!("{bytes} bytes into {components} components were accepted"));
                }
                if out.iter().any(|v| *v != -1.0) {
                    return Err(format!(
                        "wrote to the output of a refused picture ({bytes} bytes, {components} components)"
                    ));
                }
                let mut after = vec![f32::NAN; e];
                session.embed(picture, &mut after)?;
                if before != after {
                    return Err(format!("other bits after {bytes} bytes into {components} components"));
                }
                compared += 1;
            }
            Ok(())
        })?;
        Ok(Found { worst: 0.0, compared })
    })
}
