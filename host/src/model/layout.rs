//! Names, shapes and groups of all trainable parameters, in one fixed order (the order of initialisation and checkpoints).
//!
//! Linear weights are [in, out]. The names are a contract: checkpoints, evaluation and export use them.

use super::{Feed, Head, ModelSpec, Space, TIME_FEATURES};

/// What a parameter does; decides its initialisation and whether weight decay applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// A matrix of the trunk: Xavier-uniform, decayed.
    Weight,
    /// The classifier's matrix: Xavier-uniform, not decayed.
    Head,
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

/// All trainable parameters of a model: the encoder's first, so that their initial values do not depend on what is behind it.
pub fn layout(spec: &ModelSpec) -> Vec<Parameter> {
    let e = &spec.encoder;
    let (w, wd, wc) = (usize::from(e.width), spec.decoder_width, spec.condition_width());
    let mut all = Layout(Vec::new());
    all.linear("encoder.embed", spec.values(spec.input), w, Group::Weight);
    all.time("time", wc);
    all.blocks("encoder", e.depth.into(), w, wc, e.mlp_ratio.into());
    if spec.classes > 0 {
        // The last one stands for "not said".
        all.linear("class.embed", spec.classes + 1, wc, Group::Weight);
    }
    let decoder = |all: &mut Layout, input: usize, output: usize| {
        all.linear("decoder.input", input, wd, Group::Weight);
        all.blocks("decoder", spec.decoder_depth, wd, wc, e.mlp_ratio.into());
        all.linear("decoder.final_modulation", wc, 2 * wd, Group::ZeroWeight);
        all.linear("decoder.output", wd, output, Group::ZeroWeight);
    };
    match spec.head {
        Head::None => {}
        Head::Decoder { output, feed } => {
            let input = if feed == Feed::Vector { spec.values(spec.input) } else { w };
            decoder(&mut all, input, spec.values(output));
            if feed != Feed::Tokens {
                all.linear("decoder.condition", w, wc, Group::Weight);
            }
            if feed == Feed::Vector {
                all.time("decoder.time", wc);
            }
        }
        Head::Masked => {
            decoder(&mut all, w, spec.values(Space::Image));
            all.0.push(Parameter { name: "decoder.mask".to_owned(), shape: vec![wd], group: Group::Bias });
        }
        Head::Contrastive => {
            let (hidden, out) = spec.projection();
            for (name, input, output) in [
                ("projector.fc1", w, hidden),
                ("projector.fc2", hidden, hidden),
                ("projector.fc3", hidden, out),
                ("predictor.fc1", out, hidden),
                ("predictor.fc2", hidden, out),
            ] {
                all.linear(name, input, output, Group::Weight);
            }
        }
        Head::Classifier { classes } => all.linear("head", w, classes, Group::Head),
    }
    all.0
}

struct Layout(Vec<Parameter>);

impl Layout {
    fn linear(&mut self, name: &str, input: usize, output: usize, group: Group) {
        self.0.push(Parameter { name: format!("{name}.weight"), shape: vec![input, output], group });
        self.0.push(Parameter { name: format!("{name}.bias"), shape: vec![output], group: Group::Bias });
    }

    /// The conditioning MLP.
    fn time(&mut self, name: &str, wc: usize) {
        self.linear(&format!("{name}.fc1"), TIME_FEATURES, wc, Group::Weight);
        self.linear(&format!("{name}.fc2"), wc, wc, Group::Weight);
    }

    fn blocks(&mut self, half: &str, depth: usize, w: usize, wc: usize, ratio: usize) {
        for i in 0..depth {
            for (part, input, output, group) in [
                ("modulation", wc, 6 * w, Group::ZeroWeight),
                ("qkv", w, 3 * w, Group::Weight),
                ("proj", w, w, Group::Weight),
                ("fc1", w, ratio * w, Group::Weight),
                ("fc2", ratio * w, w, Group::Weight),
            ] {
                self.linear(&format!("{half}.blocks.{i}.{part}"), input, output, group);
            }
        }
    }
}

/// Number of trainable values.
pub fn parameter_count(spec: &ModelSpec) -> usize {
    layout(spec).iter().map(Parameter::len).sum()
}
