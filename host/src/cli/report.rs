//! `ldae report`.

use super::{Outcome, Output};
use crate::{Error, Result};

/// Arguments of `ldae report`.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the verb.
pub fn run(_args: Args, _out: &Output) -> Result<Outcome> {
    Err(Error::new("`ldae report` is not built yet"))
}
