//! What the program prints: facts to standard output (text or one JSON object), progress and errors to standard error.

use crate::Error;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// Chosen once from the command line.
#[derive(Clone, Debug)]
pub struct Output {
    json: bool,
    silent: bool,
}

impl Output {
    /// `json` as given by `--json`.
    pub fn new(json: bool) -> Self {
        Output { json, silent: false }
    }

    /// Prints nothing but errors: for processes beside the one that reports.
    pub fn silent() -> Self {
        Output { json: false, silent: true }
    }

    /// True when `--json` was given: a verb that calls others prints only its own final object.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a line of text for people; nothing under `--json`. A closed pipe is not an error.
    pub fn line(&self, text: impl std::fmt::Display) {
        if !self.json && !self.silent {
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }

    /// Prints the verb's facts: `text` for people, or `facts` as one JSON object.
    pub fn facts<T: Serialize>(&self, facts: &T, text: impl std::fmt::Display) {
        if self.silent {
        } else if self.json {
            // Serialising our own plain structs to a String cannot fail; an empty object would be seen by every test.
            let _ = writeln!(std::io::stdout(), "{}", serde_json::to_string(facts).unwrap_or_default());
        } else {
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }

    /// A note for people on standard error (also under `--json`).
    pub fn note(&self, text: impl std::fmt::Display) {
        if !self.silent {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// A warning with its remedy, on standard error.
    pub fn warn(&self, text: impl std::fmt::Display) {
        self.note(format_args!("warning: {text}"));
    }

    /// Prints an error and its hint.
    pub fn error(&self, error: &Error) {
        if self.json {
            let object = serde_json::json!({ "error": error.to_string(), "hint": error.advice() });
            let _ = writeln!(std::io::stdout(), "{object}");
        }
        let _ = writeln!(std::io::stderr(), "error: {error}");
        if let Some(hint) = error.advice() {
            let _ = writeln!(std::io::stderr(), " hint: {hint}");
        }
    }

    /// A progress bar with rate and time left on standard error; silent when that is no terminal.
    pub fn progress(&self, what: &str, total: u64) -> ProgressBar {
        let target = if std::io::stderr().is_terminal() && !self.silent {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let style = ProgressStyle::with_template("{prefix:>12} [{bar:30}] {pos}/{len} {per_sec} {eta} left {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::with_draw_target(Some(total), target).with_style(style).with_prefix(what.to_owned())
    }
}
