//! What a file says about itself, for programs that choose among files: properties, operators, standardisation, test vectors. Nothing
//! here decides whether a file may run; that is the loader's business (`ldae_device::tract`).

use super::Form;
use super::read::{Fields, Malformed};
use crate::eval::standardise::Standardiser;
use crate::{Error, Result};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ldae_shared::spec::EncoderSpec;
use std::collections::{BTreeMap, BTreeSet};

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
        let foreign = |what: &str| {
            Error::new(format!("it is no ONNX file of an ldae export: {what}"))
                .hint("write one with `ldae export RUN --onnx --onnx-int8`")
        };
        let parts = Parts::of(file).map_err(|e| foreign(&e.to_string()))?;
        let property = |key: &str| parts.properties.get(key).copied().ok_or_else(|| foreign(&format!("no {key}")));
        let spec: EncoderSpec = property("ldae.spec")?.parse().map_err(|_| foreign("ldae.spec is malformed"))?;
        spec.check().map_err(|e| foreign(&e.to_string()))?;
        let form = [Form::Float32, Form::Int8].into_iter().find(|f| Some(f.name()) == property("ldae.weights").ok());
        let tensor = |name: &str| {
            let bytes = parts.tensors.get(name).copied().unwrap_or_default();
            let values = floats(bytes);
            if values.len() == spec.embedding() as usize { Ok(values) } else { Err(foreign(&format!("no {name}"))) }
        };
        let vectors = BASE64_STANDARD.decode(property("ldae.vectors")?).map_err(|e| foreign(&e.to_string()))?;
        let pixels = spec.pixels() as usize;
        let records = vectors.chunks_exact(pixels + 4 * spec.embedding() as usize);
        Ok(Description {
            spec,
            form: form.ok_or_else(|| foreign("ldae.weights is unknown"))?,
            artifact: property("ldae.artifact")?.to_owned(),
            operators: parts.operators.iter().map(|o| (*o).to_owned()).collect(),
            vectors: records.map(|r| (r[..pixels].to_vec(), floats(&r[pixels..]))).collect(),
            head: Standardiser::with_factors(tensor("head.means")?, tensor("head.factors")?),
        })
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// Borrowed from the file. Field numbers are those of onnx.proto.
#[derive(Default)]
struct Parts<'a> {
    properties: BTreeMap<&'a str, &'a str>,
    operators: BTreeSet<&'a str>,
    /// Raw bytes by name.
    tensors: BTreeMap<&'a str, &'a [u8]>,
}

impl<'a> Parts<'a> {
    fn of(file: &'a [u8]) -> Result<Self, Malformed> {
        let mut parts = Parts::default();
        for field in Fields::of(file) {
            match field? {
                (7, graph) => parts.graph(graph.bytes(7)?)?,
                (14, entry) => {
                    let (key, value) = pair(entry.bytes(14)?, 1, 2)?;
                    parts.properties.insert(text(key, 1)?, text(value, 2)?);
                }
                _ => {}
            }
        }
        Ok(parts)
    }

    fn graph(&mut self, graph: &'a [u8]) -> Result<(), Malformed> {
        for field in Fields::of(graph) {
            match field? {
                (1, node) => {
                    let (operator, _) = pair(node.bytes(1)?, 4, 4)?;
                    self.operators.insert(text(operator, 4)?);
                }
                (5, tensor) => {
                    let (name, raw) = pair(tensor.bytes(5)?, 8, 9)?;
                    self.tensors.insert(text(name, 8)?, raw);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The bytes of two fields of a message; empty where they are not there.
fn pair(message: &[u8], first: u32, second: u32) -> Result<(&[u8], &[u8]), Malformed> {
    let (mut a, mut b): (&[u8], &[u8]) = (&[], &[]);
    for field in Fields::of(message) {
        let (number, value) = field?;
        if number == first {
            a = value.bytes(number)?;
        }
        if number == second {
            b = value.bytes(number)?;
        }
    }
    Ok((a, b))
}

fn text(bytes: &[u8], field: u32) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed::Text(field))
}
