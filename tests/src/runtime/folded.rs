//! The float reference: the folded encoder on plain arrays.

use super::{Form, Host, Ignored, NO_NETWORK, Runtime, Work};
use crate::model::Model;
use crate::reference;
use ldae_host::runtime::Folded;

/// `quantise::FloatEncoder`.
pub(super) struct Reference;

impl Runtime for Reference {
    fn name(&self) -> String {
        "float reference".to_owned()
    }

    fn form(&self) -> Form {
        Form::Float
    }

    fn reference(&self) -> reference::Reference {
        reference::Reference::Network
    }

    fn available(&self) -> Result<(), String> {
        Ok(())
    }

    fn ignored(&self) -> &'static [Ignored] {
        &[NO_NETWORK]
    }

    fn with(&self, model: &Model, work: &mut Work<'_>) -> Result<(), String> {
        let float = model.float()?;
        work(&mut Host(&mut Folded::new(&float.folded, &float.head)))
    }
}
