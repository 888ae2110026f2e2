//! `ldae demo`.

use super::{Outcome, Output};
use crate::{Error, Result};

/// Arguments of `ldae demo`.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the verb.
pub fn run(_args: Args, _out: &Output) -> Result<Outcome> {
    Err(Error::new("`ldae demo` is not built yet"))
}
