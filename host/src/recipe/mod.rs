//! Recipes: what is trained, as a composition of independent parts (METHOD.md sections 2 and 3).

mod schedule;

pub use schedule::{SINGLE_SIGMA, Schedule};
