"""Says in English what a clip shows, in many ways; the domain's own words stay the most frequent.

    caption({"objects": [...], "background": "navy"}, random.Random(0))
    # 'a small red circle moves to the right on a navy background'

    python phrase.py FILE            # writes the unseen prompts with their truth
    python phrase.py FILE 12 4 7     # 12 of one object and 4 of two, drawn with seed 7
"""
import json
import random
import sys
from pathlib import Path

from domain import DOMAIN

BACKGROUND_PLACES = ["on a {} background", "over a {} background", "against a {} background", "on {}", "over {}",
                     "in front of a {} background", "in a {} scene", "with a {} background"]
OPENINGS = ["", "a video of ", "a clip of ", "an animation of "]


def choose(ways, rng, plain=0.65):
    return ways[0] if rng.random() < plain else rng.choice(ways)


def noun_phrase(o, rng, with_size):
    """'a small red circle'."""
    size = choose(DOMAIN.ways_to_say("sizes", o["size"]), rng, 0.8) + " " if with_size else ""
    colour = choose(DOMAIN.ways_to_say("colours", o["colour"]), rng, 0.8)
    article = "the" if rng.random() < 0.08 else "a"
    if article == "a" and (size or colour)[0] in "aeiou":
        article = "an"
    return f"{article} {size}{colour} {choose(DOMAIN.ways_to_say('shapes', o['shape']), rng, 0.8)}"


def object_phrase(o, rng, with_size):
    """'a small red circle moves to the right'."""
    return f"{noun_phrase(o, rng, with_size)} {choose(DOMAIN.ways_to_say('motions', o['motion']), rng)}"


def background_phrase(name, rng):
    """'on a navy background'."""
    name = choose(DOMAIN.ways_to_say("backgrounds", name), rng, 0.8)
    return choose(BACKGROUND_PLACES, rng).format(name)


def pieces_of_caption(truth, rng, background=0.96, size=0.65):
    """A caption in pieces: (opening, phrases of the objects, what joins them, ending), and the objects in their order."""
    objects = list(truth["objects"])
    rng.shuffle(objects)
    joint = choose([" and ", " while ", ", "], rng, 0.7)
    phrases = [object_phrase(o, rng, rng.random() < size) for o in objects]
    opening, ending = choose(OPENINGS, rng, 0.9), ""
    if rng.random() < background:
        ending = " " + background_phrase(truth["background"], rng)
    if rng.random() < 0.15:  # a sentence
        opening, phrases[0] = (opening[:1].upper() + opening[1:],
                               phrases[0] if opening else phrases[0][0].upper() + phrases[0][1:])
        ending += "."
    return (opening, phrases, joint, ending), objects


def caption(truth, rng, background=0.96, size=0.65):
    """One caption; leaves the size or the background out in some, so that a prompt may too."""
    (opening, phrases, joint, ending), _objects = pieces_of_caption(truth, rng, background, size)
    return opening + joint.join(phrases) + ending


def without_unsaid_sizes(prompt):
    """The prompt's truth holds a size only where the words do: what was not asked for cannot be wrong."""
    def said(o):
        return any(f"{size} {colour} " in prompt["prompt"].lower()
                   for size in DOMAIN.ways_to_say("sizes", o["size"])
                   for colour in DOMAIN.ways_to_say("colours", o["colour"]))
    objects = [o if said(o) else {k: v for k, v in o.items() if k != "size"} for o in prompt["objects"]]
    return dict(prompt, objects=objects)


def unseen_prompts(singles=100, pairs=30, seed=2026):
    """Prompts with their truth. Every object on its background is a held-out combination (see domain.py)."""
    rng = random.Random(seed)
    unseen = DOMAIN.held_out_combinations()
    rng.shuffle(unseen)
    prompts, used = [], {}

    def describe(combination, sizes):
        colour, shape, motion, _ = combination
        return dict(colour=colour, shape=shape, size=rng.choice(sizes), motion=motion)

    # Each shape and motion in turn, so that 100 prompts hold every one of them about equally often.
    for i in range(singles):
        def weight(c):
            return used.get(c[1], 0) / len(DOMAIN.motions) + used.get(c[2], 0) / len(DOMAIN.shapes) + used.get(c[0], 0) / 20
        combination = min(unseen, key=weight)
        unseen.remove(combination)
        for name in combination[:3]:
            used[name] = used.get(name, 0) + 1
        truth = dict(objects=[describe(combination, DOMAIN.sizes)], background=combination[3])
        prompts.append(dict(prompt=caption(truth, rng, background=1, size=0.8), **truth))
    while len(prompts) < singles + pairs:
        first = rng.choice(unseen)
        second = rng.choice([c for c in unseen if c[3] == first[3]])
        if first[0] == second[0]:
            continue
        truth = dict(objects=[describe(c, DOMAIN.sizes[:2]) for c in (first, second)], background=first[3])
        prompts.append(dict(prompt=caption(truth, rng, background=1, size=0.8), **truth))
    return [without_unsaid_sizes(prompt) for prompt in prompts]


if __name__ == "__main__":
    prompts = unseen_prompts(*map(int, sys.argv[2:]))
    Path(sys.argv[1]).write_text("[\n" + ",\n".join("  " + json.dumps(p) for p in prompts) + "\n]\n")
