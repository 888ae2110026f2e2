"""One training step of every recipe once more in PyTorch: the same weights and inputs in, losses and gradients out.

    python step.py FOLDER      FOLDER/*.json as `cargo test -p ldae-host --lib pytorch -- --ignored` writes them

Exit status 0 when every loss and every gradient agrees to 1e-4 (gradients: of the largest value of the tensor), else 1.
"""

import json
import math
import sys
from pathlib import Path

import torch
import torch.nn.functional as F

BOUND = 1e-4
T = 1000


def tensor(entry):
    return torch.tensor(entry["values"], dtype=torch.float64).reshape(entry["shape"])


def schedule(name, t):
    """gamma_t and sigma_t."""
    if isinstance(name, dict):
        return torch.ones_like(t), torch.full_like(t, name["single"])
    if name == "sigma-linear":
        return torch.ones_like(t), math.sqrt(2) * t / T
    if name == "gamma2-linear":
        square = 1 - t / T
    else:
        betas = torch.linspace(1e-4, 0.02, T, dtype=torch.float64)
        square = torch.cat([torch.ones(1), torch.cumprod(1 - betas, 0)])[t.long()]
    return square.sqrt(), (1 - square).sqrt()


class Network:
    def __init__(self, case, parameters):
        self.case, self.p, self.spec = case, parameters, case["spec"]

    def linear(self, name, x):
        return x @ self.p[name + ".weight"] + self.p[name + ".bias"]

    def time(self, name, t):
        angles = t[:, None] * torch.exp(-math.log(10000.0) * torch.arange(128, dtype=torch.float64) / 128)
        features = torch.cat([angles.cos(), angles.sin()], 1)
        return self.linear(name + ".fc2", F.silu(self.linear(name + ".fc1", features)))

    def positions(self, width):
        axis = torch.arange(self.spec["grid"], dtype=torch.float64)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        rate = torch.exp(-math.log(10000.0) * torch.arange(width // 4, dtype=torch.float64) / max(width // 4, 1))
        parts = [f(c.reshape(-1, 1) * rate) for c in (x, y) for f in (torch.sin, torch.cos)]
        table = torch.cat(parts, 1)
        return F.pad(table, (0, width - table.shape[1]))

    def blocks(self, half, depth, heads, x, c):
        for i in range(depth):
            name = f"{half}.blocks.{i}."
            b, n, w = x.shape
            parts = self.linear(name + "modulation", F.silu(c)).unsqueeze(1).chunk(6, 2)
            y = F.layer_norm(x, (w,), eps=1e-6) * (1 + parts[1]) + parts[0]
            q, k, v = self.linear(name + "qkv", y).reshape(b, n, 3, heads, w // heads).permute(2, 0, 3, 1, 4)
            y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(b, n, w)
            x = x + parts[2] * self.linear(name + "proj", y)
            y = F.layer_norm(x, (w,), eps=1e-6) * (1 + parts[4]) + parts[3]
            y = self.linear(name + "fc2", F.gelu(self.linear(name + "fc1", y), approximate="tanh"))
            x = x + parts[5] * y
        return x

    def encode(self, x, c, places=None):
        s = self.spec
        positions = self.positions(s["width"])
        x = self.linear("encoder.embed", x) + (positions if places is None else positions[places])
        x = self.blocks("encoder", s["depth"], s["heads"], x, c)
        return F.layer_norm(x, x.shape[-1:], eps=1e-6)

    def decode(self, x, c):
        """x is what decoder.input made."""
        s = self.spec
        x = self.blocks("decoder", s["decoder_depth"], s["decoder_heads"], x + self.positions(s["decoder_width"]), c)
        shift, scale = self.linear("decoder.final_modulation", F.silu(c)).unsqueeze(1).chunk(2, 2)
        return self.linear("decoder.output", F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift)


class Tokenizer:
    def __init__(self, case):
        entry = case["tokenizer"]
        self.mean, self.encoder, self.decoder = (tensor(entry[k]) for k in ("mean", "encode", "decode"))
        self.scale = entry["scale"]

    def encode(self, x):
        return (x - self.mean) @ self.encoder.T / self.scale

    def decode(self, z):
        return z @ self.decoder * self.scale + self.mean


def denoise(case, net, batch):
    d, tokenizer = case["method"], Tokenizer(case)
    clean, noise, t = batch["clean"], batch["noise"], batch["t"]
    gamma, sigma = (v.reshape(-1, 1, 1) for v in schedule(d["schedule"], t))
    z0 = tokenizer.encode(clean)
    z = gamma * z0 + sigma * noise
    read = tokenizer.decode if d["input"] == "image" else lambda z: z
    c = net.time("time", t)
    if d["labels"]:
        c = c + net.linear("class.embed", batch["classes"])
    tokens = net.encode(read(z0 if d["encoder-sees"] == "clean" else z), c)
    vector = tokens.mean(1)
    if d["directional"]:
        vector = F.normalize(vector, dim=1)
    if batch.get("kept") is not None:
        vector = vector * batch["kept"]
    if d["feed"] == "vector":
        c = net.time("decoder.time", t)
    if d["feed"] != "tokens":
        c = c + net.linear("decoder.condition", vector)
    predicted = net.decode(net.linear("decoder.input", read(z) if d["feed"] == "vector" else tokens), c)
    weight = (gamma.square() / (gamma.square() + sigma.square())).reshape(-1)
    if d["target"] == "noise":
        return (noise - predicted).square().mean((1, 2))
    if d["target"] == "clean-latent":
        return weight * (z0 - predicted).square().mean((1, 2))
    if d["target"] == "projected-image":
        return weight * (tokenizer.decode(z0) - predicted).square().mean((1, 2))
    basis = tensor(case["basis"])
    weights = torch.full((len(basis),), case["residual"], dtype=torch.float64)
    weights[: len(tokenizer.encoder)] = 1.0
    return weight * (((clean - predicted) @ basis.T).square() * weights).mean((1, 2))


def seen(case, x):
    tokenizer = Tokenizer(case)
    return tokenizer.decode(tokenizer.encode(x))


def embedding_condition(case, net, b):
    return net.time("time", torch.full((b,), float(case["t_embed"]), dtype=torch.float64))


def masked(case, net, batch):
    clean, orders = batch["clean"], batch["orders"]
    b, n, p = clean.shape
    visible = min(max(round(n * (1 - case["method"]["mask-ratio"])), 1), n - 1)
    rows = torch.arange(b)[:, None]
    c = embedding_condition(case, net, b)
    tokens = net.encode(seen(case, clean)[rows, orders[:, :visible]], c, orders[:, :visible])
    x = net.p["decoder.mask"].expand(b, n, -1).clone()
    x[rows, orders[:, :visible]] = net.linear("decoder.input", tokens)
    predicted = net.decode(x, c)
    target = F.layer_norm(clean, (p,), eps=1e-6)
    return (predicted - target).square()[rows, orders[:, visible:]].mean((1, 2))


def mlp(net, names, x):
    for i, name in enumerate(names):
        if i:
            x = F.relu(F.layer_norm(x, x.shape[-1:], eps=1e-6))
        x = net.linear(name, x)
    return x


def contrastive(case, net, batch):
    b = len(batch["views"][0])
    momentum = Network(case, {name: tensor(entry) for name, entry in case["average"].items()})

    def projected(net, view):
        pooled = net.encode(seen(case, batch["views"][view]), embedding_condition(case, net, b)).mean(1)
        return mlp(net, ["projector.fc1", "projector.fc2", "projector.fc3"], pooled)

    tau = case["method"]["temperature"]
    loss = 0
    for view in (0, 1):
        query = F.normalize(mlp(net, ["predictor.fc1", "predictor.fc2"], projected(net, view)), dim=1)
        key = F.normalize(projected(momentum, 1 - view), dim=1).detach()
        loss = loss + F.cross_entropy(query @ key.T / tau, torch.arange(b), reduction="none")
    return 2 * tau * loss


def labels(case, net, batch):
    clean = batch["clean"]
    pooled = net.encode(seen(case, clean), embedding_condition(case, net, len(clean))).mean(1)
    return F.cross_entropy(net.linear("head", pooled), batch["labels"], reduction="none")


OBJECTIVES = {"denoise": denoise, "masked": masked, "contrastive": contrastive, "labels": labels}


def check(path):
    case = json.loads(path.read_text())
    parameters = {name: tensor(entry).requires_grad_() for name, entry in case["parameters"].items()}
    raw = case["batch"]
    batch = {name: tensor(raw[name]) for name in ("clean", "noise", "t", "classes", "kept") if raw.get(name)}
    batch["orders"] = torch.tensor(raw["orders"])
    batch["labels"] = torch.tensor(raw["labels"])
    batch["views"] = [tensor(view) for view in raw["views"]]
    losses = OBJECTIVES[case["method"]["objective"]](case, Network(case, parameters), batch)
    losses.mean().backward()
    worst_loss = max(abs(a / b - 1) for a, b in zip(case["losses"], losses.tolist(), strict=True))
    worst, where = 0.0, ""
    for name, parameter in parameters.items():
        ours = torch.tensor(case["gradients"][name], dtype=torch.float64).reshape(parameter.shape)
        theirs = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        largest = max(theirs.abs().max().item(), 1e-6)
        error = (ours - theirs).abs().max().item() / largest
        if error >= worst:
            worst, where = error, name
    good = worst_loss < BOUND and worst < BOUND
    verdict = "equal" if good else "DIFFERENT"
    print(f"{path.stem:24} loss {worst_loss:.1e}  gradients {worst:.1e} ({where}, {len(parameters)} tensors)  {verdict}")
    return good


def main():
    paths = sorted(Path(sys.argv[1]).glob("*.json"))
    if not paths:
        sys.exit(f"no cases in {sys.argv[1]}")
    results = [check(path) for path in paths]
    print(f"{sum(results)} of {len(results)} recipes agree to {BOUND}")
    sys.exit(0 if all(results) else 1)


if __name__ == "__main__":
    main()
