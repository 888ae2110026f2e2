//! What a picture's line looks like, for people and for programs.

use serde::Serialize;
use std::io::{self, Write};

/// A neighbour in the stored set.
#[derive(Serialize)]
pub struct Neighbour<'a> {
    pub name: &'a str,
    pub cosine: f32,
}

/// One embedded picture.
#[derive(Serialize)]
pub struct Line<'a> {
    pub name: &'a str,
    /// Components in standard deviations; left out where neighbours or a stored file were asked for, in text.
    pub embedding: &'a [f32],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub neighbours: Option<Vec<Neighbour<'a>>>,
}

impl Line<'_> {
    /// One JSON object on a line.
    pub fn json(&self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, self)?;
        out.write_all(b"\n")
    }

    /// The name, then neighbours or else values; nothing more than the name when the vectors are `stored`.
    pub fn text(&self, out: &mut impl Write, stored: bool) -> io::Result<()> {
        write!(out, "{}", self.name.replace('\n', "?"))?;
        match &self.neighbours {
            Some(neighbours) => {
                neighbours.iter().try_for_each(|n| write!(out, "\t{:.4} {}", n.cosine, n.name))?;
            }
            None if stored => {}
            None => self.embedding.iter().try_for_each(|v| write!(out, " {v}"))?,
        }
        writeln!(out)
    }
}
