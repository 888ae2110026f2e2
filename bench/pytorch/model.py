"""The l-DAE in PyTorch: the shapes, conditioning and loss of ldae's trainer (docs/ARCHITECTURE.md), eager or compiled."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def sincos(grid, width):
    """Fixed positions [N, W]."""
    axis = torch.arange(grid, dtype=torch.float64)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    rate = torch.exp(-math.log(10000.0) * torch.arange(width // 4, dtype=torch.float64) / max(width // 4, 1))
    parts = [f(c.reshape(-1, 1) * rate) for c in (x, y) for f in (torch.sin, torch.cos)]
    table = torch.cat(parts, 1)
    return F.pad(table, (0, width - table.shape[1])).float()


class Block(nn.Module):
    """A DiT block with adaLN-Zero."""

    def __init__(self, width, heads, ratio, condition):
        super().__init__()
        self.heads = heads
        self.modulation = nn.Linear(condition, 6 * width)
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.fc1 = nn.Linear(width, ratio * width)
        self.fc2 = nn.Linear(ratio * width, width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, x, condition):
        b, n, w = x.shape
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(condition).unsqueeze(1).chunk(6, 2)
        y = F.layer_norm(x, (w,), eps=1e-6) * (1 + scale1) + shift1
        q, k, v = self.qkv(y).reshape(b, n, 3, self.heads, w // self.heads).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, w)
        x = x + gate1 * self.proj(y)
        y = F.layer_norm(x, (w,), eps=1e-6) * (1 + scale2) + shift2
        return x + gate2 * self.fc2(F.gelu(self.fc1(y), approximate="tanh"))


class Autoencoder(nn.Module):
    """Encoder, decoder and loss."""

    def __init__(self, shape):
        super().__init__()
        w, wd = shape["width"], shape["decoder_width"]
        self.patch, self.rank = shape["patch"], shape["rank"]
        self.grid = shape["image"] // self.patch
        values = self.patch * self.patch * shape["channels"]
        condition = shape["condition"]
        self.embed = nn.Linear(values, w)
        self.time = nn.Sequential(nn.Linear(256, condition), nn.SiLU(), nn.Linear(condition, condition), nn.SiLU())
        ratio = shape["mlp_ratio"]
        self.encoder = nn.ModuleList(Block(w, shape["heads"], ratio, condition) for _ in range(shape["depth"]))
        self.input = nn.Linear(w, wd)
        self.decoder = nn.ModuleList(
            Block(wd, shape["decoder_heads"], ratio, condition) for _ in range(shape["decoder_depth"])
        )
        self.final_modulation = nn.Linear(condition, 2 * wd)
        self.output = nn.Linear(wd, values)
        for layer in (self.final_modulation, self.output):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.register_buffer("encoder_positions", sincos(self.grid, w))
        self.register_buffer("decoder_positions", sincos(self.grid, wd))
        self.register_buffer("rate", torch.exp(-math.log(10000.0) * torch.arange(128) / 128))
        basis, _ = torch.linalg.qr(torch.randn(values, values))
        self.register_buffer("kept", basis[: self.rank].contiguous())

    def forward(self, pictures, t, noise):
        """Mean loss of pictures u8 [B, side, side, C], time steps [B] and latent noise [B, N, K]."""
        b, side, _, c = pictures.shape
        g, p = self.grid, self.patch
        x = (pictures.float() - 127.5) / 127.5
        clean = x.reshape(b, g, p, g, p, c).permute(0, 1, 3, 2, 4, 5).reshape(b, g * g, p * p * c)
        sigma = (t / 1000 * math.sqrt(2)).reshape(b, 1, 1)
        x = (clean @ self.kept.T + sigma * noise) @ self.kept
        angles = t[:, None] * self.rate
        condition = self.time(torch.cat([angles.cos(), angles.sin()], 1))
        x = self.embed(x) + self.encoder_positions
        for block in self.encoder:
            x = block(x, condition)
        x = F.layer_norm(x, x.shape[-1:], eps=1e-6)
        x = self.input(x) + self.decoder_positions
        for block in self.decoder:
            x = block(x, condition)
        shift, scale = self.final_modulation(condition).unsqueeze(1).chunk(2, 2)
        x = self.output(F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift)
        residual = clean - x
        losses = 0.1 * residual.square().mean((1, 2)) + 0.9 * (residual @ self.kept.T).square().mean((1, 2))
        return (losses / (1 + sigma.reshape(b).square())).mean()


class Trainer:
    """Steps with AdamW, clipping and a moving average, as ldae takes them."""

    def __init__(self, shape, batch, device="cpu", compiled=False, bf16=False):
        torch.manual_seed(1)
        self.device, self.bf16, self.batch, self.shape = device, bf16, batch, shape
        self.model = Autoencoder(shape).to(device)
        self.loss = torch.compile(self.model) if compiled else self.model
        decayed = [q for q in self.model.parameters() if q.ndim == 2]
        rest = [q for q in self.model.parameters() if q.ndim != 2]
        groups = [{"params": decayed, "weight_decay": 0.05}, {"params": rest, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=1e-4, foreach=device == "cpu", fused=device != "cpu")
        self.average = [q.detach().clone() for q in self.model.parameters()]
        side, c = shape["image"], shape["channels"]
        self.pictures = torch.randint(0, 256, (4 * batch, side, side, c), dtype=torch.uint8, device=device)

    def step(self):
        chosen = torch.randint(0, len(self.pictures), (self.batch,), device=self.device)
        pictures = self.pictures[chosen]
        flipped = torch.rand(self.batch, device=self.device) < 0.5
        pictures = torch.where(flipped[:, None, None, None], pictures.flip(2), pictures)
        t = torch.randint(1, 1001, (self.batch,), device=self.device).float()
        tokens = (self.shape["image"] // self.shape["patch"]) ** 2
        noise = torch.randn(self.batch, tokens, self.shape["rank"], device=self.device)
        with torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.bf16):
            loss = self.loss(pictures, t, noise)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        torch._foreach_lerp_(self.average, [q.detach() for q in self.model.parameters()], 1e-4)
        return loss
