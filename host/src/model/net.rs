//! The differentiable networks: tokens and t in, what a head makes of the encoder's output out (METHOD.md sections 1 to 3).
//!
//! A [`Net`] is a view of flat parameter tensors in layout order. Built from leaves that require gradients it trains;
//! built from plain tensors it only computes. Building costs reshapes, no copies.

use super::block::{Block, Linear, layer_norm, modulate, one_hot, silu};
use super::layout::{Parameter, layout};
use super::positions::{positions, time_features};
use super::{Feed, Head, ModelSpec, Precision, TIME_FEATURES};
use burn::tensor::{Device, Int, Tensor, TensorData};
use std::collections::HashMap;
use std::sync::Arc;

/// What does not change during training: shapes and the fixed tables on the device.
#[derive(Clone, Debug)]
pub struct Frame {
    spec: ModelSpec,
    layout: Arc<[Parameter]>,
    /// Place of a parameter in the layout.
    index: Arc<HashMap<String, usize>>,
    /// [1, N, W].
    encoder_positions: Tensor<3>,
    /// [1, N, Wd].
    decoder_positions: Tensor<3>,
    precision: Precision,
}

impl Frame {
    /// Tables on `device` (without autodiff).
    pub fn new(spec: ModelSpec, device: &Device) -> Self {
        let (grid, n) = (spec.encoder.grid() as usize, spec.encoder.tokens() as usize);
        let table =
            |width: usize| Tensor::<3>::from_data(TensorData::new(positions(grid, width), [1, n, width]), device);
        let layout = layout(&spec);
        Frame {
            index: Arc::new(layout.iter().enumerate().map(|(i, p)| (p.name.clone(), i)).collect()),
            layout: layout.into(),
            encoder_positions: table(spec.encoder.width.into()),
            decoder_positions: table(spec.decoder_width),
            spec,
            precision: Precision::F32,
        }
    }

    /// The same with blocks whose products are of another precision.
    #[must_use]
    pub fn with_precision(self, precision: Precision) -> Self {
        Frame { precision, ..self }
    }

    /// Shape of the model.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Parameters in order.
    pub fn layout(&self) -> &[Parameter] {
        &self.layout
    }

    /// The network over `parameters`, flat tensors in layout order.
    ///
    /// # Panics
    /// When there are more or fewer tensors than the layout has.
    pub fn build(&self, parameters: &[Tensor<1>]) -> Net {
        assert_eq!(parameters.len(), self.layout.len());
        let vector = |name: &str| parameters[self.index[name]].clone();
        let linear = |name: &str| {
            let place = self.index[&format!("{name}.weight")];
            let shape = &self.layout[place].shape;
            let weight = parameters[place].clone().reshape([shape[0], shape[1]]);
            Linear { weight, bias: vector(&format!("{name}.bias")), precision: Precision::F32 }
        };
        let time = |name: &str| Time { fc1: linear(&format!("{name}.fc1")), fc2: linear(&format!("{name}.fc2")) };
        let blocks = |half: &str, depth: usize, heads: usize| -> Vec<Block> {
            let part = |i: usize, part: &str| Linear {
                precision: self.precision,
                ..linear(&format!("{half}.blocks.{i}.{part}"))
            };
            (0..depth)
                .map(|i| Block {
                    modulation: part(i, "modulation"),
                    qkv: part(i, "qkv"),
                    proj: part(i, "proj"),
                    fc1: part(i, "fc1"),
                    fc2: part(i, "fc2"),
                    heads,
                })
                .collect()
        };
        let spec = &self.spec;
        let feed = match spec.head {
            Head::Decoder { feed, .. } => feed,
            _ => Feed::Tokens,
        };
        let decoder = spec.head.decodes().then(|| Decoder {
            input: linear("decoder.input"),
            time: (feed == Feed::Vector).then(|| time("decoder.time")),
            condition: (feed != Feed::Tokens).then(|| linear("decoder.condition")),
            mask: (spec.head == Head::Masked).then(|| vector("decoder.mask")),
            blocks: blocks("decoder", spec.decoder_depth, spec.decoder_heads),
            final_modulation: linear("decoder.final_modulation"),
            output: linear("decoder.output"),
        });
        let layers: &[&str] = match spec.head {
            Head::Contrastive => &["projector.fc1", "projector.fc2", "projector.fc3", "predictor.fc1", "predictor.fc2"],
            Head::Classifier { .. } => &["head"],
            _ => &[],
        };
        Net {
            embed: linear("encoder.embed"),
            time: time("time"),
            class: (spec.classes > 0).then(|| linear("class.embed")),
            encoder: blocks("encoder", spec.encoder.depth.into(), spec.encoder.heads.into()),
            decoder,
            layers: layers.iter().map(|name| linear(name)).collect(),
            frame: self.clone(),
        }
    }
}

/// The conditioning MLP.
#[derive(Clone, Debug)]
struct Time {
    fc1: Linear,
    fc2: Linear,
}

impl Time {
    /// Features [B, 256] → c [B, Wc].
    fn forward(&self, features: Tensor<2>) -> Tensor<2> {
        self.fc2.forward(silu(self.fc1.forward(features)))
    }
}

#[derive(Clone, Debug)]
struct Decoder {
    input: Linear,
    /// Its own, where the encoder is another network.
    time: Option<Time>,
    condition: Option<Linear>,
    /// [Wd]: what stands for tokens that the encoder did not see.
    mask: Option<Tensor<1>>,
    blocks: Vec<Block>,
    final_modulation: Linear,
    output: Linear,
}

/// An encoder, and what is behind it, over one set of parameters.
#[derive(Clone, Debug)]
pub struct Net {
    frame: Frame,
    embed: Linear,
    time: Time,
    class: Option<Linear>,
    encoder: Vec<Block>,
    decoder: Option<Decoder>,
    /// Projector and predictor, or the classifier.
    layers: Vec<Linear>,
}

/// c, before the activation that the blocks read it through: [B, Wc].
#[derive(Clone, Debug)]
pub struct Condition(Tensor<2>);

impl Net {
    /// Features of noise levels t, [B, 256], as the input of [`Net::condition`].
    pub fn time_table(t: &[u32], device: &Device) -> Tensor<2> {
        let values: Vec<f32> = t.iter().flat_map(|&t| time_features(t as f32)).collect();
        Tensor::from_data(TensorData::new(values, [t.len(), TIME_FEATURES]), device)
    }

    /// c of the time features; `classes` [B, classes + 1] is one at the class of each picture, at the last place where it is
    /// not said, and is read by class-conditional networks only.
    pub fn condition(&self, features: Tensor<2>, classes: Option<Tensor<2>>) -> Condition {
        let c = self.time.forward(features);
        Condition(match (&self.class, classes) {
            (Some(class), Some(classes)) => c + class.forward(classes),
            (Some(class), None) => {
                let (b, said) = (c.dims()[0], self.frame.spec.classes);
                let unsaid = one_hot(said + 1, std::iter::repeat_n(said, b), &c.device());
                c + class.forward(unsaid)
            }
            (None, _) => c,
        })
    }

    /// Encoder: tokens [B, N, P or K] → final LayerNorm of the tokens [B, N, W].
    pub fn encode(&self, tokens: Tensor<3>, condition: &Condition) -> Tensor<3> {
        let x = self.embed.forward_tokens(tokens) + self.frame.encoder_positions.clone();
        self.encoder_blocks(x, condition, &[])
    }

    /// [`Net::encode`] with the branches of each block scaled per picture: `factors` has a [B, 2] for each block.
    pub fn encode_scaled(&self, tokens: Tensor<3>, condition: &Condition, factors: &[Tensor<2>]) -> Tensor<3> {
        let x = self.embed.forward_tokens(tokens) + self.frame.encoder_positions.clone();
        self.encoder_blocks(x, condition, factors)
    }

    /// Encoder on some tokens of each picture: values [B, M, P or K] of the tokens at `places` [B·M] → [B, M, W].
    pub fn encode_some(&self, tokens: Tensor<3>, places: Tensor<1, Int>, condition: &Condition) -> Tensor<3> {
        let [b, m, _] = tokens.dims();
        let [_, n, w] = self.frame.encoder_positions.dims();
        let positions = self.frame.encoder_positions.clone().reshape([n, w]).select(0, places); // [B·M, W]
        let x = self.embed.forward_tokens(tokens) + positions.reshape([b, m, w]);
        self.encoder_blocks(x, condition, &[])
    }

    /// The blocks and the final LayerNorm; block i has the branches scaled by `factors[i]`, if there is one.
    fn encoder_blocks(&self, mut x: Tensor<3>, condition: &Condition, factors: &[Tensor<2>]) -> Tensor<3> {
        let condition = silu(condition.0.clone());
        for (i, block) in self.encoder.iter().enumerate() {
            x = match factors.get(i) {
                Some(factors) => block.forward_scaled(x, condition.clone(), factors.clone()),
                None => block.forward(x, condition.clone()),
            };
        }
        layer_norm(x)
    }

    /// The condition of the decoder's blocks: c, or the decoder's own of the same time features, and the vector [B, W] on top.
    ///
    /// # Panics
    /// When the network has no decoder.
    pub fn decoder_condition(
        &self,
        condition: &Condition,
        features: Tensor<2>,
        vector: Option<Tensor<2>>,
    ) -> Condition {
        let decoder = self.decoder.as_ref().expect("a network with a decoder");
        let c = decoder.time.as_ref().map_or_else(|| condition.0.clone(), |time| time.forward(features));
        Condition(match (&decoder.condition, vector) {
            (Some(linear), Some(vector)) => c + linear.forward(vector),
            _ => c,
        })
    }

    /// Decoder: what it reads, [B, N, W] from the encoder or [B, N, P or K] → predictions [B, N, P or K].
    ///
    /// # Panics
    /// When the network has no decoder.
    pub fn decode(&self, tokens: Tensor<3>, condition: &Condition) -> Tensor<3> {
        let decoder = self.decoder.as_ref().expect("a network with a decoder");
        self.decoder_blocks(decoder, decoder.input.forward_tokens(tokens), condition)
    }

    /// Decoder of a masked autoencoder: the encoder's [B, M, W] of the visible tokens → predictions [B, N, P]. Row i of
    /// `order` [B·N] says where token i stands in a picture's M visible tokens followed by N - M mask tokens, as an index into
    /// all rows of the batch.
    ///
    /// # Panics
    /// When the network is none.
    pub fn decode_masked(&self, visible: Tensor<3>, order: Tensor<1, Int>, condition: &Condition) -> Tensor<3> {
        let decoder = self.decoder.as_ref().expect("a network with a decoder");
        let mask = decoder.mask.clone().expect("a masked autoencoder");
        let [_, n, wd] = self.frame.decoder_positions.dims();
        let visible = decoder.input.forward_tokens(visible); // [B, M, Wd]
        let [b, m, _] = visible.dims();
        let masks = mask.reshape([1, 1, wd]).repeat(&[b, n - m, 1]); // [B, N - M, Wd]
        let all = Tensor::cat(vec![visible, masks], 1).reshape([b * n, wd]);
        self.decoder_blocks(decoder, all.select(0, order).reshape([b, n, wd]), condition)
    }

    fn decoder_blocks(&self, decoder: &Decoder, x: Tensor<3>, condition: &Condition) -> Tensor<3> {
        let b = x.dims()[0];
        let condition = silu(condition.0.clone());
        let mut x = x + self.frame.decoder_positions.clone();
        for block in &decoder.blocks {
            x = block.forward(x, condition.clone());
        }
        let wd = self.frame.spec.decoder_width;
        let modulation = decoder.final_modulation.forward(condition).reshape([b, 2, wd]);
        let x = modulate(x, modulation.clone().narrow(1, 0, 1), modulation.narrow(1, 1, 1));
        decoder.output.forward_tokens(x)
    }

    /// Layers of a head without decoder: projector and predictor, or the classifier.
    pub fn layers(&self) -> &[Linear] {
        &self.layers
    }
}
