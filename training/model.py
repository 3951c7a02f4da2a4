"""The host: the first layers of a BERT encoder with frozen piece embeddings, shape x gap features, and heads to train it by."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from host_weights import HostWeights

CATEGORIES = ("personal_name", "address", "phone", "email")
LABELS = ["none"] + [f"{c}.{part}" for c in CATEGORIES for part in ("begin", "inside")] + ["other.organisation", "other.location"]
NUMBER = {label: i for i, label in enumerate(LABELS)}
FEATURES = 36


class Layer(nn.Module):
    def __init__(self, width, heads, intermediate, epsilon, dropout):
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.attention = nn.ModuleDict(
            {name: nn.Linear(width, width) for name in ("query", "key", "value", "output")}
            | {"norm": nn.LayerNorm(width, epsilon)}
        )
        self.up, self.down = nn.Linear(width, intermediate), nn.Linear(intermediate, width)
        self.norm = nn.LayerNorm(width, epsilon)

    def forward(self, x, mask):
        batch, length, width = x.shape
        a = self.attention
        split = lambda y: y.view(batch, length, self.heads, -1).transpose(1, 2)
        mixed = F.scaled_dot_product_attention(split(a["query"](x)), split(a["key"](x)), split(a["value"](x)), attn_mask=mask)
        mixed = a["output"](mixed.transpose(1, 2).reshape(batch, length, width))
        x = a["norm"](x + F.dropout(mixed, self.dropout, self.training))
        return self.norm(x + F.dropout(self.down(F.gelu(self.up(x))), self.dropout, self.training))


class Host(nn.Module):
    def __init__(self, weights: HostWeights, kept: np.ndarray, layers: int, heads_at: tuple[int, ...], dropout=0.1):
        super().__init__()
        width = weights.width
        self.heads_at = heads_at
        self.dropout = dropout
        self.embeddings = nn.ModuleDict(
            {
                "piece": nn.Embedding(len(kept), width),
                "position": nn.Embedding(weights.tensors["embeddings.position"].shape[0], width),
                "feature": nn.Embedding(FEATURES, width),
                "norm": nn.LayerNorm(width, weights.epsilon),
            }
        )
        self.layers = nn.ModuleList(
            Layer(width, weights.heads, weights.intermediate, weights.epsilon, dropout) for _ in range(layers)
        )
        nn.init.normal_(self.embeddings["feature"].weight, std=0.01)
        self.heads = nn.ModuleList(nn.Linear(width, len(LABELS)) for _ in heads_at)
        own = self.state_dict()
        for name, value in weights.tensors.items():
            key = name + ".weight" if name == "embeddings.position" else name
            own[key].copy_(torch.from_numpy(value))
        own["embeddings.piece.weight"].copy_(torch.from_numpy(weights.piece_embeddings(kept)))
        self.embeddings["piece"].weight.requires_grad_(False)

    def hidden(self, pieces, features, mask):
        """Activations after each layer, [batch, pieces, width]; mask is 1 where a piece is."""
        e = self.embeddings
        x = e["piece"](pieces) + e["position"].weight[: pieces.shape[1]] + e["feature"](features)
        x = F.dropout(e["norm"](x), self.dropout, self.training)
        bias = torch.zeros(mask.shape, dtype=x.dtype).masked_fill(mask == 0, -1e4)[:, None, None, :]
        out = []
        for layer in self.layers:
            x = layer(x, bias.to(torch.bfloat16) if torch.is_autocast_enabled("cpu") else bias)
            out.append(x)
        return out

    def forward(self, pieces, features, mask):
        hidden = self.hidden(pieces, features, mask)
        return [head(hidden[at - 1]) for head, at in zip(self.heads, self.heads_at)]
