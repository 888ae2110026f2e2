//! One error type for the host: what went wrong, where, the cause below it, and what to do next.

use std::fmt::Display;

/// Shorthand used throughout the host crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error as a user reads it: one line of cause (with its place) and one line of advice.
#[derive(Debug, thiserror::Error)]
#[error("{what}{}", .cause.as_ref().map(|c| format!(": {c}")).unwrap_or_default())]
pub struct Error {
    what: String,
    hint: Option<String>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// A new error; `what` names the thing and the place ("cannot read run/config.toml").
    pub fn new(what: impl Display) -> Self {
        Error { what: what.to_string(), hint: None, cause: None }
    }

    /// Adds what the user should do next; the last one given stays.
    #[must_use]
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Adds the error below.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// The advice, if there is any.
    pub fn advice(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

/// Turns a lower error into an [`Error`] that says what was being done.
pub trait Context<T> {
    /// Wraps the error; `what` is only computed on failure.
    fn context<D: Display>(self, what: impl FnOnce() -> D) -> Result<T>;
}

impl<T, E: Into<Box<dyn std::error::Error + Send + Sync>>> Context<T> for std::result::Result<T, E> {
    fn context<D: Display>(self, what: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|e| {
            let cause = e.into();
            let error = Error::new(what());
            let full =
                cause.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::StorageFull);
            let error = if full {
                error.hint(
                    "the disk is full: free some space and try again (a training run: with --resume or --overwrite)",
                )
            } else {
                error
            };
            error.caused_by(cause)
        })
    }
}
