//! Runtimes that read an exported file.

use super::{Form, Host, Ignored, Runtime, Work};
use crate::model::Model;
use crate::reference::Reference;
use ldae_device::kernels::Choice;
use ldae_host::runtime;

/// One of the host's runtimes on one form of the files.
pub(super) struct OfFile {
    runtime: runtime::Runtime,
    form: Form,
}

/// All of them.
pub(super) fn all() -> impl Iterator<Item = OfFile> {
    runtime::Runtime::all().into_iter().filter_map(|runtime| match runtime {
        runtime::Runtime::Integer(_) => Some(OfFile { runtime, form: Form::Integer }),
        runtime::Runtime::Onnxruntime(_) => None,
    })
}

impl Runtime for OfFile {
    fn name(&self) -> String {
        self.runtime.name()
    }

    fn form(&self) -> Form {
        self.form
    }

    fn reference(&self) -> Reference {
        match self.runtime {
            runtime::Runtime::Integer(Choice::Portable) => Reference::Packed,
            runtime::Runtime::Integer(_) => Reference::Portable,
            runtime::Runtime::Onnxruntime(_) => Reference::Network,
        }
    }

    fn available(&self) -> Result<(), String> {
        self.runtime.check().map_err(|e| e.to_string())
    }

    fn ignored(&self) -> &'static [Ignored] {
        &[]
    }

    fn with(&self, model: &Model, work: &mut Work<'_>) -> Result<(), String> {
        let prepared = self.runtime.prepare(&model.artifact).map_err(|e| e.to_string())?;
        let mut session = prepared.open().map_err(|e| e.to_string())?;
        work(&mut Host(&mut *session))
    }
}
