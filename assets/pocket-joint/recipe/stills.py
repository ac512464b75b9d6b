"""Draws labelled stills of the default model's world, and says in English what they show.

    pictures, labels = draw_stills(64, device="cuda")      # pictures [64, 3, 128, 128] in -1..1
    say(labels.describe(0), random.Random(0))
    # {'prompt': 'a small red circle on the left on a navy background', 'objects': [{'colour': 'red', ...}], ...}

An object's middle is within JITTER of its place's. Two objects are at places that lie at least a half width apart, so
that they never touch. Held out are the combinations "colour shape place background" of domain.py's rule.

    python stills.py --prompts FILE     # unseen prompts with what they ask for, as assets/prompts/unseen-stills.json
    python stills.py --pictures FILE    # unseen pictures' truths, as assets/prompts/unseen-pictures.json
    python stills.py --draw FILE DIR    # those pictures, 000.png and on
    python stills.py --validation DIR   # labelled stills to validate a judge with
"""
import argparse
import json
import random
from pathlib import Path

import torch

from world import DOMAIN

from draw import MARGIN, Labels, draw_labels, painter
from phrase import background_phrase, choose, noun_phrase

JITTER = 0.1
TWO_OBJECTS = 0.45
OPENINGS = ["", "a picture of ", "an image of ", "a drawing of "]
JOINTS = [" and ", ", ", " with "]


def apart(a, b):
    """Whether two objects may be at these places."""
    (ax, ay), (bx, by) = DOMAIN.place_middles[a], DOMAIN.place_middles[b]
    return max(abs(ax - bx), abs(ay - by)) >= 1


PLACE_PAIRS = [(a, b) for a in range(len(DOMAIN.places)) for b in range(len(DOMAIN.places)) if apart(a, b)]


def draw_still_labels(n, device, generator=None, two_objects=TWO_OBJECTS):
    pairs = torch.tensor(PLACE_PAIRS, device=device)

    def index(high, n):
        return torch.randint(0, high, (n,), device=device, generator=generator)

    labels = draw_labels(n, device, generator, two_objects, lambda n: pairs[index(len(pairs), n)])
    alone = index(len(DOMAIN.places), n)  # one object may be in the center too
    held_out = torch.tensor(DOMAIN.held_out_table(still=True), device=device)
    c, s, _z, _p = labels.objects[:, 0].unbind(1)
    free = (labels.count == 1) & ~held_out[c, s, alone, labels.background]
    labels.objects[:, 0, 3] = torch.where(free, alone, labels.objects[:, 0, 3])
    return labels


def draw_stills(n, device="cpu", generator=None, labels=None, dtype=torch.float32):
    """Stills [n, 3, size, size] in -1..1 and their Labels (given, or random ones that hold nothing unseen)."""
    labels = labels or draw_still_labels(n, device, generator)

    def random_like(*shape):
        return torch.rand(*shape, device=device, generator=generator)

    radius = torch.tensor(DOMAIN.radii, device=device)[labels.objects[:, :, 2]] * (0.94 + 0.12 * random_like(n, 2))
    middle = torch.tensor(DOMAIN.place_middles, device=device)[labels.objects[:, :, 3]]
    middle = middle + JITTER * (2 * random_like(n, 2, 2) - 1)
    room = (MARGIN - radius)[..., None]
    middle = torch.minimum(torch.maximum(middle, -room), room)
    x, y, radius = middle[..., 0, None], middle[..., 1, None], radius[..., None]
    paint = painter(DOMAIN.size, device)
    clip = paint(labels.objects, labels.background, labels.count, x, y, radius, torch.zeros_like(x), DOMAIN.size)
    return clip[:, :, 0].to(dtype), labels


def say(truth, rng, background=0.92, size=0.6, place=0.6):
    """One caption as "prompt", and what it names in the order it does: {"prompt", "objects", "background"}."""
    objects = list(truth["objects"])
    rng.shuffle(objects)
    said, phrases = [], []
    for o in objects:
        with_size, with_place = rng.random() < size, rng.random() < place
        phrase = noun_phrase(o, rng, with_size)
        if with_place:
            phrase += " " + choose(DOMAIN.ways_to_say("places", o["place"]), rng, 0.5)
        phrases.append(phrase)
        unsaid = [key for key, named in (("size", with_size), ("place", with_place)) if not named]
        said.append({key: value for key, value in o.items() if key not in unsaid})
    text = choose(OPENINGS, rng, 0.9) + choose(JOINTS, rng, 0.7).join(phrases)
    entry = dict(prompt=text, objects=said)
    if rng.random() < background:
        entry["background"] = truth["background"]
        text += " " + background_phrase(truth["background"], rng)
    entry["prompt"] = text[0].upper() + text[1:] + "." if rng.random() < 0.1 else text
    return entry


def unseen_truths(singles=100, pairs=30, seed=2027):
    """What unseen stills show: held-out combinations, colours, shapes and places in turn, then pairs of them."""
    rng = random.Random(seed)
    unseen = DOMAIN.held_out_combinations(still=True)
    rng.shuffle(unseen)
    truths, used = [], {}

    def describe(combination, sizes):
        colour, shape, place, _ = combination
        return dict(colour=colour, shape=shape, size=rng.choice(sizes), place=place)

    for _ in range(singles):
        combination = min(unseen, key=lambda c: sum(used.get(name, 0) for name in c))
        unseen.remove(combination)
        for name in combination:
            used[name] = used.get(name, 0) + 1
        truths.append(dict(objects=[describe(combination, DOMAIN.sizes)], background=combination[3]))
    unseen = DOMAIN.held_out_combinations(still=True)
    while len(truths) < singles + pairs:
        first, second = rng.choice(unseen), rng.choice(unseen)
        places = [DOMAIN.places.index(c[2]) for c in (first, second)]
        if first[3] == second[3] and first[0] != second[0] and apart(*places):
            truths.append(dict(objects=[describe(c, DOMAIN.sizes[:2]) for c in (first, second)], background=first[3]))
    return truths


def labels_of(truths):
    """Labels that describe() says as these truths, which name everything."""
    objects = torch.zeros(len(truths), 2, 4, dtype=torch.long)
    for i, truth in enumerate(truths):
        for k, o in enumerate(truth["objects"]):
            objects[i, k] = torch.tensor([DOMAIN.colours.index(o["colour"]), DOMAIN.shapes.index(o["shape"]),
                                          DOMAIN.sizes.index(o["size"]), DOMAIN.places.index(o["place"])])
    background = torch.tensor([DOMAIN.backgrounds.index(truth["background"]) for truth in truths])
    return Labels(objects, background, torch.tensor([len(truth["objects"]) for truth in truths]), still=True)


def as_image(picture):
    """A picture [3, height, width] in -1..1 for Pillow."""
    from PIL import Image
    return Image.fromarray(((picture.permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().cpu().numpy())


def write_entries(path, entries):
    Path(path).write_text("[\n" + ",\n".join("  " + json.dumps(e) for e in entries) + "\n]\n")


def write_pictures(entries, folder, seed=5):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    pictures, _ = draw_stills(len(entries), generator=torch.Generator().manual_seed(seed), labels=labels_of(entries))
    for i, picture in enumerate(pictures):
        as_image(picture).save(folder / f"{i:03d}.png", optimize=True)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--prompts", metavar="FILE")
    arguments.add_argument("--pictures", metavar="FILE")
    arguments.add_argument("--draw", nargs=2, metavar=("FILE", "DIR"))
    arguments.add_argument("--validation", metavar="DIR")
    a = arguments.parse_args()
    words = random.Random(1)
    if a.prompts:
        write_entries(a.prompts, [say(t, words, background=1, size=0.7, place=0.7) for t in unseen_truths()])
    if a.pictures:
        write_entries(a.pictures, [dict(say(t, words, 1, 1, 1), **t) for t in unseen_truths(seed=2028)])
    if a.draw:
        write_pictures(json.loads(Path(a.draw[0]).read_text()), a.draw[1])
    if a.validation:
        truths = unseen_truths(18, 6, seed=3)
        write_pictures(truths, a.validation)
        write_entries(Path(a.validation) / "labels.json",
                      [dict(say(t, words, 1, 1, 1), file=f"{i:03d}.png", **t) for i, t in enumerate(truths)])
