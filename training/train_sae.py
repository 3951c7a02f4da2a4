"""Trains the sparse autoencoder on the host's last layer and the classifier on its latents.

The autoencoder is a BatchTopK one (Bussmann, Leask and Nanda, 2024): in training the k x batch largest latents of a batch stay, afterwards one
threshold takes their place, which makes it a JumpReLU autoencoder. Besides reconstruction and an auxiliary loss on dead latents
(Gao et al., 2024) it is trained to let a linear classifier on the latents say what the host's head says (as end-to-end autoencoders
are, Braun et al., 2024). Then the latents stand still and the classifier alone is distilled further.

python train_sae.py HOST.pt OUT.pt [--steps 4000] [--seed 1]
"""

import argparse
import random
import time

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from activations import read, with_text
from augment import augmented
from model import LABELS
from synthetic import synthetic
from texts import hand_written, split
from train_host import load_host
from values import Values

WIDTH, K, BATCH, RATE = 2048, 32, 2048, 1e-3
DEAD_AFTER = 400  # batches without firing
TAUGHT, AUXILIARY = 1.0, 1 / 32  # weights of the two losses beside reconstruction


class Sae(nn.Module):
    def __init__(self, width_in: int, width: int):
        super().__init__()
        start = torch.randn(width, width_in) / width_in**0.5
        self.encoder = nn.Parameter(start.clone())
        self.decoder = nn.Parameter(F.normalize(start, dim=1))  # a row a latent
        self.encoder_bias = nn.Parameter(torch.zeros(width))
        self.decoder_bias = nn.Parameter(torch.zeros(width_in))
        self.register_buffer("mean", torch.zeros(width_in))
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("threshold", torch.zeros(()))

    def normal(self, x):
        return (x - self.mean) * self.scale

    def before(self, x):
        return F.linear(self.normal(x) - self.decoder_bias, self.encoder, self.encoder_bias)

    def latents(self, x):
        p = self.before(x)
        return p * (p > self.threshold)

    def decoded(self, z):
        return z @ self.decoder + self.decoder_bias

    def folded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight and bias on the raw activation."""
        weight = self.encoder * self.scale
        return weight, self.encoder_bias - weight @ self.mean - self.encoder @ self.decoder_bias


def read_all(host, tokenizer, texts):
    reads = read(host, tokenizer, texts)
    return torch.cat([r.activations[torch.from_numpy(with_text(r))] for r in reads])


def train(x: torch.Tensor, taught: torch.Tensor, steps: int) -> tuple[Sae, nn.Linear]:
    """x: activations [tokens, width], f16; taught: the head's probabilities [tokens, labels]."""
    sae = Sae(x.shape[1], WIDTH)
    with torch.no_grad():
        sample = x[torch.randperm(len(x))[:50_000]].float()
        sae.mean.copy_(sample.mean(0))
        sae.scale.copy_(x.shape[1] ** 0.5 / (sample - sae.mean).norm(dim=1).mean())
    classifier = nn.Linear(WIDTH, taught.shape[1])
    nn.init.zeros_(classifier.weight)
    optimizer = torch.optim.Adam([*sae.parameters(), *classifier.parameters()], lr=RATE)
    silent = torch.zeros(WIDTH)
    started = time.time()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 100) * min(1, (1 - step / steps) / 0.3 + 0.01)
        rows = torch.randint(0, len(x), (BATCH,))
        part = x[rows].float()
        wanted = sae.normal(part)
        p = F.relu(sae.before(part))
        least = p.detach().flatten().topk(K * BATCH).values[-1]
        z = p * (p >= least)
        with torch.no_grad():
            sae.threshold.lerp_(least, 1.0 if step == 0 else 0.01)
            silent = torch.where((z > 0).any(0), 0, silent + 1)
        rebuilt = sae.decoded(z)
        loss = F.mse_loss(rebuilt, wanted) + TAUGHT * F.kl_div(classifier(z).log_softmax(-1), taught[rows], reduction="batchmean")
        dead = silent > DEAD_AFTER
        if dead.sum() > K:
            q = p[:, dead]
            spare = q * (q >= q.topk(min(64, q.shape[1]), -1).values[:, -1:])
            loss = loss + AUXILIARY * F.mse_loss(spare @ sae.decoder[dead], (wanted - rebuilt).detach())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            sae.decoder.copy_(F.normalize(sae.decoder, dim=1))
        if step % 100 == 0:
            print(f"step {step} loss {loss.item():.4f} dead {int(dead.sum())} {time.time() - started:.0f} s", flush=True)
    return sae, classifier


def distil(sae: Sae, classifier: nn.Linear, x, taught, steps: int) -> None:
    """The classifier alone, on the latents as they are computed when it is used."""
    optimizer = torch.optim.Adam(classifier.parameters(), lr=1e-3)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 1e-3 * (1 - step / steps) + 1e-5
        rows = torch.randint(0, len(x), (4096,))
        with torch.no_grad():
            z = sae.latents(x[rows].float())
        loss = F.kl_div(classifier(z).log_softmax(-1), taught[rows], reduction="batchmean")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print("distilled", loss.item(), flush=True)


@torch.no_grad()
def measured(sae: Sae, classifier: nn.Linear, x, taught) -> dict:
    part = x[torch.randperm(len(x))[:20_000]].float()
    wanted, z = sae.normal(part), sae.latents(part)
    unexplained = ((sae.decoded(z) - wanted) ** 2).sum() / ((wanted - wanted.mean(0)) ** 2).sum()
    return {
        "fraction_of_variance_unexplained": round(unexplained.item(), 4),
        "active_latents_per_token": round((z > 0).float().sum(1).mean().item(), 1),
        "living_latents": int((z > 0).any(0).sum()),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("out")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    rng = random.Random(options.seed)
    values = Values(rng)
    _, tokenizer, host = load_host(options.host)
    hand = split(hand_written())["train"]
    texts = hand + [augmented(text, values) for text in hand for _ in range(2)] + synthetic(len(hand), values)
    x = read_all(host, tokenizer, [text for text in texts if text.text])
    with torch.no_grad():
        taught = torch.cat([host.heads[-1](part.float()).softmax(-1) for part in x.split(8192)])
    print("tokens", len(x), flush=True)
    sae, classifier = train(x, taught, options.steps)
    distil(sae, classifier, x, taught, options.steps // 2)
    report = measured(sae, classifier, x, taught)
    print(report)
    torch.save({"sae": sae.state_dict(), "classifier": classifier.state_dict(), "report": report}, options.out)


if __name__ == "__main__":
    main()
