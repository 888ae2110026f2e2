//! Patches to pictures and back, on tensors: [B, N, P] (row, column, channel in a patch) ↔ [B, C, H, W].

use super::settings::Settings;
use burn::tensor::Tensor;

/// Puts patches [B, N, P] together to pictures [B, C, H, W].
pub fn from_patches(settings: &Settings, patches: Tensor<3>) -> Tensor<4> {
    let Settings { image, patch: p, channels: c, .. } = *settings;
    let (b, g) = (patches.dims()[0], image / p);
    // [B, row of cells, column of cells, row, column, C] → [B, C, row of cells, row, column of cells, column]
    patches.reshape([b, g, g, p, p, c]).permute([0, 5, 1, 3, 2, 4]).reshape([b, c, image, image])
}

/// Cuts pictures [B, C, H, W] into patches [B, N, P].
pub fn to_patches(settings: &Settings, pictures: Tensor<4>) -> Tensor<3> {
    let Settings { image, patch: p, channels: c, .. } = *settings;
    let (b, g) = (pictures.dims()[0], image / p);
    // [B, C, row of cells, row, column of cells, column] → [B, row of cells, column of cells, row, column, C]
    pictures.reshape([b, c, g, p, g, p]).permute([0, 2, 4, 3, 5, 1]).reshape([b, g * g, p * p * c])
}

/// Feature maps [B, K, G, G] as one vector per cell [B, N, K].
pub fn to_tokens(maps: Tensor<4>) -> Tensor<3> {
    let [b, k, h, w] = maps.dims();
    maps.reshape([b, k, h * w]).swap_dims(1, 2)
}

/// Vectors [B, N, K] of a square of cells as feature maps [B, K, G, G].
pub fn from_tokens(settings: &Settings, tokens: Tensor<3>) -> Tensor<4> {
    let ([b, _, k], g) = (tokens.dims(), settings.image / settings.patch);
    tokens.swap_dims(1, 2).reshape([b, k, g, g])
}
