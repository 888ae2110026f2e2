//! Attributes of a node, by name and type.

use super::ops::Unfit;
use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::{AttributeProto, NodeProto};

/// The attributes of a node whose names are all known and different.
pub(super) struct Attributes<'g>(&'g [AttributeProto]);

impl<'g> Attributes<'g> {
    /// Refuses names outside `known`, and a name given twice.
    pub(super) fn of(node: &'g NodeProto, known: &[&str]) -> Result<Self, Unfit> {
        let attributes = node.attribute.as_slice();
        let unknown = attributes.iter().any(|a| !known.contains(&a.name.as_str()));
        let twice = known.iter().any(|k| attributes.iter().filter(|a| a.name == *k).count() > 1);
        if unknown || twice {
            Err(Unfit::What("an unknown attribute, or one twice"))
        } else {
            Ok(Attributes(attributes))
        }
    }

    fn get(&self, name: &str, kind: AttributeType) -> Result<Option<&'g AttributeProto>, Unfit> {
        match self.0.iter().find(|a| a.name == name) {
            Some(a) if a.r#type != kind as i32 => Err(Unfit::What("an attribute of another type")),
            found => Ok(found),
        }
    }

    pub(super) fn int(&self, name: &str) -> Result<Option<i64>, Unfit> {
        Ok(self.get(name, AttributeType::Int)?.map(|a| a.i))
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<&'g [i64]>, Unfit> {
        Ok(self.get(name, AttributeType::Ints)?.map(|a| a.ints.as_slice()))
    }

    pub(super) fn float(&self, name: &str) -> Result<Option<f32>, Unfit> {
        Ok(self.get(name, AttributeType::Float)?.map(|a| a.f))
    }

    pub(super) fn text(&self, name: &str) -> Result<Option<&'g [u8]>, Unfit> {
        Ok(self.get(name, AttributeType::String)?.map(|a| a.s.as_slice()))
    }
}
