//! An ordinary error: what went wrong, and what to do next. Printed as one line and a hint; the exit status is 2.

use std::fmt;

/// What went wrong.
#[derive(Debug)]
pub struct Error {
    what: String,
    hint: Option<String>,
}

/// With [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Says what and where.
    pub fn new(what: impl Into<String>) -> Self {
        Error { what: what.into(), hint: None }
    }

    /// Says what to do next.
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Error { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what.replace('\n', " "))?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}
