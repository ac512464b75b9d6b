"""The world of the models: names and numbers from ../domain.json, and which combinations are held out.

    from domain import DOMAIN
    DOMAIN.colours            # ["red", "green", ...]
    DOMAIN.is_held_out("red", "circle", "left", "navy")

Unseen prompts are made of held-out combinations. The rule: crc32 of "colour shape motion background", modulo 12, is 0.
No training clip, with one object or two, holds such an object on such a background. Of stills the place stands for the
motion.
"""
import functools
import json
import zlib
from pathlib import Path

CHECKPOINT = Path(__file__).resolve().parent.parent
HOLD_OUT_ONE_IN = 12

# Turning these changes nothing that can be seen.
LOOKS_THE_SAME_TURNED = ("circle", "ring")


class Domain:
    def __init__(self, path):
        spec = json.loads(Path(path).read_text())
        self.size, self.frames, self.fps = spec["width"], spec["frames"], spec["fps"]
        self.colours, self.colour_rgb = list(spec["colours"]), list(spec["colours"].values())
        self.backgrounds, self.background_rgb = list(spec["backgrounds"]), list(spec["backgrounds"].values())
        self.shapes = spec["shapes"]
        self.sizes, self.radii = list(spec["sizes"]), list(spec["sizes"].values())
        self.motions = spec["motions"]
        self.places, self.place_middles = list(spec["places"]), list(spec["places"].values())
        self.words = spec["words"]

    def ways_to_say(self, kind, name):
        """ways_to_say("shapes", "circle") -> ["circle", "disc", ...], the plain form first."""
        return self.words[kind].get(name, [name])

    def is_held_out(self, colour, shape, motion, background):
        return zlib.crc32(f"{colour} {shape} {motion} {background}".encode()) % HOLD_OUT_ONE_IN == 0

    @functools.cache
    def held_out_table(self, still=False):
        """Nested lists [colour][shape][motion][background] of bool; of stills with places for motions."""
        return [[[[self.is_held_out(c, s, m, b) for b in self.backgrounds] for m in (self.places if still else self.motions)]
                 for s in self.shapes] for c in self.colours]

    def held_out_combinations(self, still=False):
        """Every unseen (colour, shape, motion, background), without turns that cannot be seen; of stills with places."""
        return [(c, s, m, b) for c in self.colours for s in self.shapes for m in (self.places if still else self.motions)
                for b in self.backgrounds
                if self.is_held_out(c, s, m, b) and not (m == "spin" and s in LOOKS_THE_SAME_TURNED)]


DOMAIN = Domain(CHECKPOINT / "domain.json")
