"""Binds words to their object in the text encoder, before the denoiser learns on: who is red, who moves.

    python binding.py --model DIR --seconds 45 [--log FILE]

Trained through the denoiser alone, the encoder's state of "circle" in "a red circle moves left and a blue star spins" tells
little of its colour: clips of two objects then swap colours, shapes and motions. Here the encoder learns it on captions:

- every token of an object's mention tells, linearly, that object's colour, shape, size and motion (sizes where said);
- what it says of two objects it says as it said of each alone: the states of a mention become those that the encoder, as it
  was, gives the same words in the caption without the other object. A denoiser that knows one object well so meets
  states that it knows, and has only to learn that there are two;
- all other states, and those of captions for one object, stay as they were.

Then denoiser.py goes on with both. Before and after, a probe says how much of each attribute ridge regression reads from
the state of the shape's word, in captions for two objects that it was not fitted on.
"""
import argparse
import copy
import csv
import random
import time

import torch
import torch.nn.functional as F

import parts
from denoiser import is_matrix
from domain import DOMAIN
from draw import draw_labels
from optim import Optimiser, recorded
from phrase import pieces_of_caption

KINDS = (("colour", DOMAIN.colours), ("shape", DOMAIN.shapes), ("size", DOMAIN.sizes), ("motion", DOMAIN.motions))
CLASSES = [len(names) for _key, names in KINDS]
NOTHING = -100
POOL = 16_000
TWO_OBJECTS = 0.7
BATCH = 64
READ_WEIGHT = 0.3        # of reading attributes, beside the states of mentions
REST_WEIGHT = 0.5        # of all other states


def spans_of(pieces):
    """The caption, and where in it each object's mention is: [(start, end), ...] in letters."""
    opening, phrases, joint, ending = pieces
    text, spans = opening, []
    for k, phrase in enumerate(phrases):
        text += joint if k else ""
        spans.append((len(text), len(text) + len(phrase)))
        text += phrase
    return text + ending, spans


def tokenized(tokenizer, texts):
    """Ids [n, 226], and for every text the letters that each token stands for."""
    out = tokenizer(texts, padding="max_length", max_length=parts.TEXT_TOKENS, truncation=True, return_offsets_mapping=True,
                    return_tensors="pt")
    return out.input_ids, out.offset_mapping


def inside(offsets, span):
    """Which tokens stand for letters of the span; a token may begin with the blank before its word."""
    start, end = offsets[..., 0], offsets[..., 1]
    return (end > span[0]) & (start < span[1]) & (end > start)


def said(o, phrase):
    """Indices of what the phrase says of the object; its size may be unsaid."""
    named = any(f" {word} " in phrase for word in DOMAIN.ways_to_say("sizes", o["size"]))
    return [NOTHING if key == "size" and not named else names.index(o[key]) for key, names in KINDS]


def captions_of(tokenizer, count, two_objects, words):
    """Captions with, for each token: the attributes of the object that it mentions, [n, 226, 4]; where its target state
    is, the caption and the place in it, [n, 226, 2]; whether it is the last of the shape's word, [n, 226]."""
    labels = draw_labels(count, "cpu", two_objects=two_objects)
    texts, rows = [], []
    for i in range(count):
        pieces, objects = pieces_of_caption(labels.describe(i), words)
        text, spans = spans_of(pieces)
        rows.append((len(texts), pieces, objects, spans))
        texts.append(text)
        if len(objects) == 2:  # each alone, in the same words
            texts += [spans_of((pieces[0], [phrase], "", pieces[3]))[0] for phrase in pieces[1]]
    ids, offsets = tokenized(tokenizer, texts)
    at = torch.tensor([row[0] for row in rows])
    places = torch.arange(parts.TEXT_TOKENS)
    attributes = torch.full((count, parts.TEXT_TOKENS, len(KINDS)), NOTHING)
    target = torch.stack([at[:, None].expand(-1, parts.TEXT_TOKENS), places.expand(count, -1)], -1).clone()
    nouns = torch.zeros(count, parts.TEXT_TOKENS, dtype=torch.bool)
    for i, (row, (opening, phrases, _joint, _ending), objects, spans) in enumerate(rows):
        for k, (o, span) in enumerate(zip(objects, spans)):
            mine = inside(offsets[row], span).nonzero()[:, 0]
            attributes[i, mine] = torch.tensor(said(o, phrases[k]))
            word = next(w for w in DOMAIN.ways_to_say("shapes", o["shape"]) if f" {w} " in phrases[k])
            end = span[0] + phrases[k].index(f" {word} ") + len(word) + 1
            nouns[i, mine[(offsets[row, mine, 0] < end).nonzero()[-1, 0]]] = True
            if len(objects) == 2:
                alone = inside(offsets[row + 1 + k], (len(opening), len(opening) + len(phrases[k]))).nonzero()[:, 0]
                if len(alone) == len(mine):
                    target[i, mine, 0], target[i, mine, 1] = row + 1 + k, alone
    return dict(ids=ids, at=at, attributes=attributes, target=target, nouns=nouns)


@torch.no_grad()
def probe(encoder, captions, device, batch=64):
    """Percent of each attribute that ridge regression reads from the state of the shape's word; half fits, half tests."""
    states, wanted = [], []
    for i in range(0, len(captions["at"]), batch):
        rows = captions["at"][i : i + batch]
        nouns = captions["nouns"][i : i + batch]
        states.append(encoder(input_ids=captions["ids"][rows].to(device)).last_hidden_state.float().cpu()[nouns])
        wanted.append(captions["attributes"][i : i + batch][nouns])
    x, wanted = torch.cat(states).double(), torch.cat(wanted)
    x = torch.cat([x, torch.ones(len(x), 1, dtype=x.dtype)], 1)
    half, scores = len(x) // 2, {}
    for k, (key, names) in enumerate(KINDS):
        known = wanted[:, k] != NOTHING
        fit, test = known.clone(), known.clone()
        fit[half:], test[:half] = False, False
        y = F.one_hot(wanted[fit, k], len(names)).double()
        solved = torch.linalg.solve(x[fit].T @ x[fit] + 1e-3 * fit.sum() * torch.eye(x.shape[1], dtype=x.dtype), x[fit].T @ y)
        scores[key] = round(100 * ((x[test] @ solved).argmax(1) == wanted[test, k]).double().mean().item(), 1)
    return scores


@torch.no_grad()
def states_of(encoder, ids, device, batch=256):
    """Half-precision states [n, 226, 128] of the encoder as it is."""
    return torch.cat([encoder(input_ids=ids[i : i + batch].to(device)).last_hidden_state.half()
                      for i in range(0, len(ids), batch)])


def train(encoder, captions, device, seconds, batch, peak, log):
    before = copy.deepcopy(encoder).to(device)
    old = states_of(before, captions["ids"], device)
    spread = old[::50].float().var((0, 1)).mean().item()
    readers = torch.nn.Linear(parts.TEXT_WIDTH, sum(CLASSES))
    weights = {}
    for name, model in (("text_encoder", encoder), ("readers", readers)):
        model.to(device, torch.bfloat16).train()
        weights |= {f"{name}.{k}": w for k, w in model.named_parameters()}
    opt = Optimiser(weights, is_matrix)
    ids, at, attributes, target = (captions[k].to(device) for k in ("ids", "at", "attributes", "target"))

    def step():
        chosen = torch.randint(0, len(at), (batch,), device=device)
        states = encoder(input_ids=ids[at[chosen]]).last_hidden_state
        wanted = old[target[chosen][..., 0], target[chosen][..., 1]].float()
        off, mentions = (states.float() - wanted).square().mean(-1) / spread, attributes[chosen][..., 0] != NOTHING
        share = mentions.float().mean()
        keep = (off * mentions).mean() / share + REST_WEIGHT * (off * ~mentions).mean() / (1 - share)
        read = torch.zeros((), device=device)
        for k, scores in enumerate(readers(states).float().split(CLASSES, -1)):
            read = read + F.cross_entropy(scores.flatten(0, 1), attributes[chosen][..., k].flatten(), ignore_index=NOTHING)
        (keep + READ_WEIGHT * read / len(KINDS)).backward()
        opt.step()
        return torch.stack([keep.detach(), read.detach() / len(KINDS)])

    opt.set(0.0)
    step = recorded(step)
    start, done, logged, total, count = time.time(), 0, 0.0, 0, 0
    while (elapsed := time.time() - start) < seconds:
        opt.set(peak * min(1, (done + 1) / 50) * (1 - elapsed / seconds), max(1 / 100, 1 / (done + 1)))
        total, done, count = total + step(), done + 1, count + 1
        if elapsed - logged > 5 or done == 1:
            losses = (total / count).tolist()
            log([f"{elapsed:.0f}", done, f"{opt.learning_rate.item():.2e}", *(f"{v:.4f}" for v in losses)])
            logged, total, count = elapsed, 0, 0
        if device == "cuda" and done % 4 == 0:
            torch.cuda.synchronize()  # so that the clock sees the work, not its submission
    return opt.averaged(weights)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--model", required=True)
    arguments.add_argument("--seconds", type=float, required=True)
    arguments.add_argument("--learning-rate", type=float, default=1.5e-3)
    arguments.add_argument("--log", default="binding.csv")
    arguments.add_argument("--captions", type=int, default=POOL)
    arguments.add_argument("--batch", type=int, default=BATCH)
    arguments.add_argument("--probe-only", action="store_true", help="say what the encoder tells, train nothing")
    a = arguments.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    tokenizer, words = parts.load_tokenizer(a.model), random.Random()
    encoder = parts.load(a.model, "text_encoder", None).to(device).eval()
    fresh = captions_of(tokenizer, min(2000, a.captions), 1.0, words)
    print("the shape's word tells before, %:", probe(encoder, fresh, device), flush=True)
    if a.probe_only:
        return
    captions = captions_of(tokenizer, a.captions, TWO_OBJECTS, words)
    with open(a.log, "a", newline="") as file:
        out = csv.writer(file)
        out.writerow(["seconds", "step", "learning_rate", "keep", "read"])

        def log(row):
            out.writerow(row)
            file.flush()
            print("binding", *row, flush=True)

        averages = train(encoder, captions, device, a.seconds, a.batch, a.learning_rate, log)
    parts.save_weights(a.model, "text_encoder", encoder, averages)
    encoder = parts.load(a.model, "text_encoder", None).to(device).eval()
    print("the shape's word tells after, %:", probe(encoder, fresh, device), flush=True)


if __name__ == "__main__":
    main()
