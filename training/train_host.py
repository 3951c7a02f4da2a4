"""Fine-tunes the host on the hand-written texts, augmented, and synthetic ones.

python train_host.py OUT.pt [--tokens 9000000] [--seed 1]
"""

import argparse
import math
import random
import time

import numpy as np
import torch

import host_weights
from augment import augmented
from model import LABELS, NUMBER, Host
from synthetic import synthetic
from texts import Text, hand_written, split
from tokenizer import Unigram, features
from values import Values
from vocabulary import kept_pieces

LAYERS, HEADS_AT, VOCABULARY, WINDOW = 6, (4, 5, 6), 120_000, 126
BATCH_TOKENS, RATE, LAYER_DECAY, NEW_RATE = 2400, 4e-4, 0.85, 2e-3
SYNTHETIC_SHARE = 1.0  # synthetic texts for each hand-written one in an epoch, falling to a fifth of that
NOT_PERSONAL = [NUMBER[label] for label in LABELS if label == "none" or label.startswith("other.")]


def labels(offsets, spans) -> list[int]:
    """The label of each piece; -100 for pieces without text."""
    out = []
    begun: set[tuple[int, int, str]] = set()
    for begin, end in offsets:
        if begin == end:
            out.append(-100)
            continue
        span = next((s for s in spans if begin < s[1] and end > s[0]), None)
        if span is None:
            out.append(NUMBER["none"])
        elif span[2].startswith("other."):
            out.append(NUMBER[span[2]])
        else:
            out.append(NUMBER[f"{span[2]}.{'inside' if span in begun else 'begin'}"])
            begun.add(span)
    return out


def encoded(tokenizer: Unigram, text: Text):
    pieces, offsets = tokenizer.encode(text.text)
    return pieces, features(text.text, offsets), labels(offsets, text.spans), text.has_others


def crops(example, rng: random.Random, tokenizer: Unigram):
    """Windows of an example, as many as cover it, at random places."""
    pieces, shapes, wanted, has_others = example
    for _ in range(math.ceil(len(pieces) / WINDOW)):
        at = rng.randint(0, max(0, len(pieces) - WINDOW))
        cut = slice(at, at + WINDOW)
        yield (
            [tokenizer.begin] + pieces[cut] + [tokenizer.end],
            [0] + shapes[cut] + [0],
            [-100] + wanted[cut] + [-100],
            has_others,
        )


def batches(examples, rng: random.Random):
    examples = list(examples)
    rng.shuffle(examples)
    out = []
    for at in range(0, len(examples), 1500):
        batch = []
        for example in sorted(examples[at : at + 1500], key=lambda e: len(e[0])):
            batch.append(example)
            if len(batch) * len(example[0]) >= BATCH_TOKENS:
                out.append(batch)
                batch = []
        if batch:
            out.append(batch)
    rng.shuffle(out)
    return out


def packed(batch):
    longest = max(len(example[0]) for example in batch)
    pieces, shapes, mask = (torch.zeros(len(batch), longest, dtype=torch.long) for _ in range(3))
    wanted = torch.full((len(batch), longest), -100)
    for i, (p, s, w, _) in enumerate(batch):
        n = len(p)
        pieces[i, :n], shapes[i, :n], mask[i, :n], wanted[i, :n] = torch.tensor(p), torch.tensor(s), 1, torch.tensor(w)
    return pieces, shapes, mask, wanted, torch.tensor([example[3] for example in batch])


def loss_of(logits, wanted, has_others):
    """Cross-entropy; where organisations and places aren't marked, `none` means any label that isn't personal."""
    logs = logits.float().log_softmax(-1)
    loose = torch.cat([logs[..., NOT_PERSONAL].logsumexp(-1, keepdim=True), logs[..., 1:]], -1)
    logs = torch.where(has_others[:, None, None], logs, loose)
    counted = wanted >= 0
    return -logs[counted].gather(1, wanted[counted][:, None]).mean()


def parameter_groups(host: Host):
    groups = [{"params": [p for n, p in host.named_parameters() if "feature" in n or n.startswith("heads")], "lr": NEW_RATE}]
    embeddings = [p for n, p in host.named_parameters() if n.startswith("embeddings") and "feature" not in n and p.requires_grad]
    groups.append({"params": embeddings, "lr": RATE * LAYER_DECAY**LAYERS})
    for n in range(LAYERS):
        rate = RATE * LAYER_DECAY ** (LAYERS - 1 - n)
        groups.append({"params": list(host.layers[n].parameters()), "lr": rate})
    return groups


def trainable(host: Host) -> dict[str, torch.Tensor]:
    return {n: p for n, p in host.state_dict().items() if n != "embeddings.piece.weight"}


def save(host: Host, parameters, average, path: str) -> None:
    """The averaged parameters; training goes on with its own."""
    own = [p.detach().clone() for p in parameters]
    with torch.no_grad():
        torch._foreach_copy_(parameters, average)
        torch.save(trainable(host), path)
        torch._foreach_copy_(parameters, own)


def load_host(path: str | None):
    """The host with its tokenizer, fine-tuned weights included where a file is given."""
    weights = host_weights.read(host_weights.installed_file(), LAYERS)
    kept = kept_pieces(weights, VOCABULARY)
    host = Host(weights, kept, LAYERS, HEADS_AT)
    if path is not None:
        host.load_state_dict(torch.load(path, weights_only=True), strict=False)
    return weights, Unigram(weights, kept), host


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out")
    parser.add_argument("--tokens", type=int, default=9_000_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    rng = random.Random(options.seed)
    values = Values(rng)
    _, tokenizer, host = load_host(None)
    host.train()
    groups = parameter_groups(host)
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    rates = [group["lr"] for group in optimizer.param_groups]
    parameters = [p for group in groups for p in group["params"]]
    average = [p.detach().clone() for p in parameters]
    seen = step = epoch = 0
    started = time.time()
    while seen < options.tokens:
        done = seen / options.tokens
        hand = split(hand_written())["train"]
        made = synthetic(int(len(hand) * SYNTHETIC_SHARE * (1 - 0.8 * done)), values)
        texts = [augmented(text, values) if epoch else text for text in hand] + made
        examples = [crop for text in texts if text.text for crop in crops(encoded(tokenizer, text), rng, tokenizer)]
        for batch in batches(examples, rng):
            done = seen / options.tokens
            scale = min(1, (step + 1) / 60) * max(0.01, 1 - done)
            for group, rate in zip(optimizer.param_groups, rates):
                group["lr"] = rate * scale
            pieces, shapes, mask, wanted, has_others = packed(batch)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                outputs = host(pieces, shapes, mask)
            loss = sum(loss_of(logits, wanted, has_others) for logits in outputs) / len(outputs)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            step += 1
            seen += int(mask.sum())
            if seen >= options.tokens:
                break
            if step % 5 == 0:
                torch._foreach_lerp_(average, [p.detach() for p in parameters], max(0.02, 5 / (step + 5)))
            if step % 20 == 0:
                print(f"epoch {epoch} step {step} loss {loss.item():.4f} tokens {seen} {seen / (time.time() - started):.0f}/s", flush=True)
        epoch += 1
        save(host, parameters, average, options.out)


if __name__ == "__main__":
    main()
