//! Names, shapes and groups of all trainable parameters, in one fixed order (the order of initialisation and checkpoints).
//!
//! Linear weights are [in, out]. The names are a contract: checkpoints, evaluation and export use them.

use super::{ModelSpec, TIME_FEATURES};

/// What a parameter does; decides its initialisation and whether weight decay applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// A matrix of the trunk: Xavier-uniform, decayed.
    Weight,
    /// A modulation matrix or the final layer: starts at zero (adaLN-Zero), not decayed.
    ZeroWeight,
    /// A bias: starts at zero, not decayed.
    Bias,
}

/// One trainable tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name, for instance `encoder.blocks.0.qkv.weight`.
    pub name: String,
    /// `[in, out]` of a weight, `[out]` of a bias.
    pub shape: Vec<usize>,
    /// Its group.
    pub group: Group,
}

impl Parameter {
    /// Number of values.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// True for a tensor without values (there is none in a valid model).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// All trainable parameters of a model.
pub fn layout(spec: &ModelSpec) -> Vec<Parameter> {
    let e = &spec.encoder;
    let (p, w, wd, wc) = (e.patch_values() as usize, usize::from(e.width), spec.decoder_width, spec.condition_width());
    let ratio = usize::from(e.mlp_ratio);
    let mut all = Vec::new();
    let mut linear = |name: &str, input: usize, output: usize, group: Group| {
        all.push(Parameter { name: format!("{name}.weight"), shape: vec![input, output], group });
        all.push(Parameter { name: format!("{name}.bias"), shape: vec![output], group: Group::Bias });
    };
    let blocks = |linear: &mut dyn FnMut(&str, usize, usize, Group), half: &str, depth: usize, w: usize| {
        for i in 0..depth {
            let mut part = |part: &str, input, output, group| {
                linear(&format!("{half}.blocks.{i}.{part}"), input, output, group);
            };
            part("modulation", wc, 6 * w, Group::ZeroWeight);
            part("qkv", w, 3 * w, Group::Weight);
            part("proj", w, w, Group::Weight);
            part("fc1", w, ratio * w, Group::Weight);
            part("fc2", ratio * w, w, Group::Weight);
        }
    };
    linear("encoder.embed", p, w, Group::Weight);
    linear("time.fc1", TIME_FEATURES, wc, Group::Weight);
    linear("time.fc2", wc, wc, Group::Weight);
    blocks(&mut linear, "encoder", e.depth.into(), w);
    linear("decoder.input", w, wd, Group::Weight);
    blocks(&mut linear, "decoder", spec.decoder_depth, wd);
    linear("decoder.final_modulation", wc, 2 * wd, Group::ZeroWeight);
    linear("decoder.output", wd, p, Group::ZeroWeight);
    all
}

/// Number of trainable values.
pub fn parameter_count(spec: &ModelSpec) -> usize {
    layout(spec).iter().map(Parameter::len).sum()
}
