//! `ldae eval`.

use super::{Outcome, Output};
use crate::{Error, Result};

/// Arguments of `ldae eval`.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the verb.
pub fn run(_args: Args, _out: &Output) -> Result<Outcome> {
    Err(Error::new("`ldae eval` is not built yet"))
}
