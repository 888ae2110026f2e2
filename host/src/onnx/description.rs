//! What a file of ours says about itself, for programs that choose among files: shape, origin, operators, standardisation, test
//! vectors. Nothing here decides whether a file may run; that is the loader's business (`ldae_device::tract`).

use super::read::{Fields, Malformed};
use super::{Form, Summary};
use crate::eval::standardise::Standardiser;
use crate::{Error, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ldae_shared::spec::EncoderSpec;
use std::collections::BTreeSet;

/// The readable parts of an export.
#[derive(Clone, Debug)]
pub struct Description {
    /// Shape.
    pub spec: EncoderSpec,
    /// How the weights are stored.
    pub form: Form,
    /// Identity of the artifact of the same export, 64 hexadecimal digits.
    pub artifact: String,
    /// Names of the operators that occur.
    pub operators: BTreeSet<String>,
    /// Test vectors: pixels and the expected embedding.
    pub vectors: Vec<(Vec<u8>, Vec<f32>)>,
    /// What the last two nodes standardise with.
    pub head: Standardiser,
}

impl Description {
    /// Reads the bytes of an ONNX file that `ldae export` wrote.
    ///
    /// # Errors
    /// They are no such file.
    pub fn read(file: &[u8]) -> Result<Self> {
        let foreign = |what: &dyn std::fmt::Display| {
            Error::new(format!("it is no ONNX file of an ldae export: {what}"))
                .hint("write one with `ldae export RUN --onnx --onnx-int8`")
        };
        let summary = Summary::of(file).map_err(|e| foreign(&e))?;
        let property = |key: &str| summary.property(key).ok_or_else(|| foreign(&format!("no {key}")));
        let spec: EncoderSpec = property("ldae.spec")?.parse().map_err(|_| foreign(&"ldae.spec is malformed"))?;
        spec.check().map_err(|e| foreign(&e))?;
        let weights = property("ldae.weights")?;
        let form = [Form::Float32, Form::Int8].into_iter().find(|f| f.name() == weights);
        let tensor = |name: &str| {
            let values = floats(constant(file, name).map_err(|e| foreign(&e))?);
            if values.len() == spec.embedding() as usize { Ok(values) } else { Err(foreign(&format!("no {name}"))) }
        };
        let vectors = BASE64_STANDARD.decode(property("ldae.vectors")?).map_err(|e| foreign(&e))?;
        let pixels = spec.pixels() as usize;
        let records = vectors.chunks_exact(pixels + 4 * spec.embedding() as usize);
        Ok(Description {
            spec,
            form: form.ok_or_else(|| foreign(&"ldae.weights is unknown"))?,
            artifact: property("ldae.artifact")?.to_owned(),
            operators: summary.operators.keys().map(|o| (*o).to_owned()).collect(),
            vectors: records.map(|r| (r[..pixels].to_vec(), floats(&r[pixels..]))).collect(),
            head: Standardiser::with_factors(tensor("head.means")?, tensor("head.factors")?),
        })
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// Raw bytes of a constant of the graph; empty when there is none of that name. Field numbers are those of onnx.proto.
fn constant<'a>(file: &'a [u8], wanted: &str) -> Result<&'a [u8], Malformed> {
    for field in Fields::of(file) {
        let (7, graph) = field? else { continue };
        for field in Fields::of(graph.bytes(7)?) {
            let (5, tensor) = field? else { continue };
            let (mut name, mut raw): (&str, &[u8]) = ("", &[]);
            for field in Fields::of(tensor.bytes(5)?) {
                match field? {
                    (8, v) => name = v.text(8)?,
                    (9, v) => raw = v.bytes(9)?,
                    _ => {}
                }
            }
            if name == wanted {
                return Ok(raw);
            }
        }
    }
    Ok(&[])
}
