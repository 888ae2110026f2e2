//! Runtimes that read an exported file.

use super::{Form, Host, Ignored, NO_NETWORK, Runtime, Work};
use crate::model::Model;
use crate::reference::Reference;
use ldae_device::kernels::Choice;
use ldae_host::runtime::{self, Optimisation};

/// One of the host's runtimes on one form of the files.
pub(super) struct OfFile {
    runtime: runtime::Runtime,
    form: Form,
}

/// All of them.
pub(super) fn all() -> impl Iterator<Item = OfFile> {
    runtime::Runtime::all().into_iter().flat_map(|runtime| {
        let forms: &[Form] = match runtime {
            runtime::Runtime::Integer(_) => &[Form::Integer],
            runtime::Runtime::Tract | runtime::Runtime::Onnxruntime(Optimisation::Basic) => {
                &[Form::Float, Form::WeightOnly]
            }
            runtime::Runtime::Onnxruntime(Optimisation::All) => &[Form::Float, Form::WeightOnlyRewritten],
        };
        forms.iter().map(move |&form| OfFile { runtime, form })
    })
}

impl OfFile {
    /// The file that it reads.
    fn file<'m>(&self, model: &'m Model) -> Result<&'m [u8], String> {
        Ok(match self.form {
            Form::Integer => &model.artifact,
            Form::Float => &model.float()?.onnx,
            Form::WeightOnly | Form::WeightOnlyRewritten => &model.float()?.onnx_int8,
        })
    }
}

impl Runtime for OfFile {
    fn name(&self) -> String {
        let name = self.runtime.name();
        match self.form {
            Form::Integer => name,
            Form::Float => format!("{name} f32"),
            Form::WeightOnly | Form::WeightOnlyRewritten => format!("{name} int8"),
        }
    }

    fn form(&self) -> Form {
        self.form
    }

    fn reference(&self) -> Reference {
        match (self.form, self.runtime) {
            (Form::Integer, runtime::Runtime::Integer(Choice::Portable)) => Reference::Packed,
            (Form::Integer, _) => Reference::Portable,
            (Form::Float, _) => Reference::Network,
            (Form::WeightOnly | Form::WeightOnlyRewritten, _) => Reference::Dequantised,
        }
    }

    fn available(&self) -> Result<(), String> {
        self.runtime.check().map_err(|e| e.to_string())
    }

    fn ignored(&self) -> &'static [Ignored] {
        match self.form {
            Form::Integer => &[],
            Form::Float | Form::WeightOnly => &[NO_NETWORK],
            Form::WeightOnlyRewritten => &[
                NO_NETWORK,
                Ignored {
                    suite: "odd shapes",
                    reason: "its fused product is wrong by 2.7 rms for one token of 147 values (1.31.1); `basic` is right",
                },
                Ignored {
                    suite: "extreme weights",
                    reason: "activations of 8 bits before a saturated softmax leave nothing to compare (0.5 rms)",
                },
            ],
        }
    }

    fn with(&self, model: &Model, work: &mut Work<'_>) -> Result<(), String> {
        let prepared = self.runtime.prepare(self.file(model)?).map_err(|e| e.to_string())?;
        let mut session = prepared.open().map_err(|e| e.to_string())?;
        work(&mut Host(&mut *session))
    }
}
