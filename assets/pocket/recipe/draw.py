"""Draws labelled clips of moving shapes, many at once, on the device that trains.

    clips, labels = draw_clips(32, size=128, device="cuda")      # clips [32, 3, 25, 128, 128] in -1..1

Coordinates: the frame spans -1..1 both ways, x to the right, y down; clip time u runs 0..1. Edges are anti-aliased by the
signed distance in pixels. Motions are slow against the VAE's fourfold compression of time: a slide crosses 0.45 of the
width, a spin is 0.4 of a turn, an orbit three quarters of one. Objects stay inside the frame; two never overlap by
choice: of twelve random placements the one that keeps them farthest apart is drawn.

    python draw.py --validation DIR     # labelled clips to validate a judge of clips with
"""
import argparse
import json
import math
import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch

from domain import DOMAIN, LOOKS_THE_SAME_TURNED

TRAVEL = 0.9          # of a slide, in half widths
DROP = 0.55           # height of a bounce
ORBIT_RADIUS, ORBIT_TURNS = 0.35, 0.75
SPIN_TURNS = 0.4
GROWTH = (0.55, 1.45)  # of the nominal radius, from start to end
MARGIN = 0.96          # objects stay within this half width
PLACEMENTS = 12


@dataclass
class Labels:
    """Indices into the domain's lists. objects [n, 2, 4]: colour, shape, size, motion; background [n]; count [n]: 1 or 2.
    Of stills the last index is that of a place."""
    objects: torch.Tensor
    background: torch.Tensor
    count: torch.Tensor
    still: bool = False

    def to(self, device):
        return Labels(self.objects.to(device), self.background.to(device), self.count.to(device), self.still)

    def describe(self, i):
        """Clip or still i in words, as the prompt files and the judge have it."""
        key, names = ("place", DOMAIN.places) if self.still else ("motion", DOMAIN.motions)
        objects = [{"colour": DOMAIN.colours[c], "shape": DOMAIN.shapes[s], "size": DOMAIN.sizes[z], key: names[m]}
                   for c, s, z, m in self.objects[i, : self.count[i]].tolist()]
        return dict(objects=objects, background=DOMAIN.backgrounds[self.background[i]])


def draw_labels(n, device, generator=None, two_objects=0.25, draw_places=None):
    """Random labels without held-out combinations; the two objects of a clip differ in colour and are not large.
    draw_places(n) -> [n, 2] makes them labels of stills."""
    def index(high):
        return torch.randint(0, high, (n,), device=device, generator=generator)

    def one(sizes, other_colour=None):
        colour = index(len(DOMAIN.colours))
        if other_colour is not None:
            colour = (other_colour + 1 + index(len(DOMAIN.colours) - 1)) % len(DOMAIN.colours)
        return torch.stack([colour, index(len(DOMAIN.shapes)), index(sizes), index(len(DOMAIN.motions))], 1)

    count = 1 + (torch.rand(n, device=device, generator=generator) < two_objects).long()
    first = one(len(DOMAIN.sizes))
    second = one(len(DOMAIN.sizes) - 1, first[:, 0])
    first[:, 2] = torch.where(count == 2, first[:, 2] % (len(DOMAIN.sizes) - 1), first[:, 2])
    objects = torch.stack([first, second], 1)
    if draw_places:
        objects[:, :, 3] = draw_places(n)

    held_out = torch.tensor(DOMAIN.held_out_table(draw_places is not None), device=device)
    background = index(len(DOMAIN.backgrounds))
    for _ in DOMAIN.backgrounds:  # step on until neither object is held out on this background
        c, s, _z, m = objects.unbind(2)
        bad = (held_out[c, s, m, background[:, None]] & (torch.arange(2, device=device) < count[:, None])).any(1)
        background = torch.where(bad, (background + 1) % len(DOMAIN.backgrounds), background)
    return Labels(objects, background, count, still=draw_places is not None)


def trajectories(labels, frames, generator=None):
    """x, y, radius, angle, each [n, 2, frames], of both objects."""
    n, device = len(labels.background), labels.background.device
    motion = labels.objects[:, :, 3, None]
    u = torch.linspace(0, 1, frames, device=device)

    def random(*shape):
        return torch.rand(*shape, device=device, generator=generator)

    def pick(default, **by_motion):
        out = torch.broadcast_to(default, (n, 2, frames))
        for name, value in by_motion.items():
            out = torch.where(motion == DOMAIN.motions.index(name), value, out)
        return out

    zero = torch.zeros(1, 1, 1, device=device)
    radius = torch.tensor(DOMAIN.radii, device=device)[labels.objects[:, :, 2], None] * (0.94 + 0.12 * random(n, 2, 1))
    sign = torch.where(random(n, 2, 1) < 0.5, -1.0, 1.0)
    phase = 2 * math.pi * random(n, 2, 1) + sign * 2 * math.pi * ORBIT_TURNS * u
    slide = TRAVEL * (u - 0.5)
    x = pick(zero, left=-slide, right=slide, orbit=ORBIT_RADIUS * phase.cos())
    y = pick(zero, up=-slide, down=slide, orbit=ORBIT_RADIUS * phase.sin(), bounce=DROP * (0.5 - (math.pi * u).cos().abs()))
    low, high = GROWTH
    r = pick(radius, grow=radius * (low + (high - low) * u), shrink=radius * (high - (high - low) * u))
    angle = pick(zero, spin=sign * 2 * math.pi * SPIN_TURNS * u)

    # Centres are uniform over where the whole path fits into the frame.
    reach = r.amax(2)
    room_x = (MARGIN - reach - x.abs().amax(2)).clamp(min=0)
    room_y = (MARGIN - reach - y.abs().amax(2)).clamp(min=0)
    centre_x = (2 * random(PLACEMENTS, n, 2) - 1) * room_x
    centre_y = (2 * random(PLACEMENTS, n, 2) - 1) * room_y
    px, py = x + centre_x[..., None], y + centre_y[..., None]
    gap = torch.hypot(px[:, :, 0] - px[:, :, 1], py[:, :, 0] - py[:, :, 1]) - r[:, 0] - r[:, 1]
    widest = gap.amin(2).argmax(0)
    chosen = torch.where(labels.count == 2, widest, 0)
    at = torch.arange(n, device=device)
    return px[chosen, at], py[chosen, at], r, angle


def signed_distance(shape, x, y, r):
    """Distance to the outline of DOMAIN.shapes[shape], negative inside; upright, about as large as a circle of radius r."""
    far = torch.sqrt(x * x + y * y + 1e-12)
    ax, ay = x.abs(), y.abs()
    circle = far - 0.9 * r
    square = torch.maximum(ax, ay) - 0.8 * r
    # Equilateral, tip up, centred on its centroid, inner radius 0.55 r.
    triangle = torch.maximum(y, ax * (math.sqrt(3) / 2) - y / 2) - 0.55 * r
    # Five points: fold the plane onto half a point, then the line from tip to notch.
    sector = 2 * math.pi / 5
    turn = torch.remainder(torch.atan2(x, -y) + sector / 2, sector) - sector / 2
    tip, notch = 1.1, 0.5
    edge_x, edge_y = notch * math.cos(sector / 2) - tip, notch * math.sin(sector / 2)
    length = math.hypot(edge_x, edge_y)
    star = ((far * turn.cos() - tip * r) * edge_y - far * turn.sin().abs() * edge_x) / length
    ring = (far - 0.72 * r).abs() - 0.23 * r
    thin = 0.32 * r
    cross = torch.minimum(torch.maximum(ax - 0.95 * r, ay - thin), torch.maximum(ax - thin, ay - 0.95 * r))
    out = circle
    for name, distance in dict(square=square, triangle=triangle, star=star, ring=ring, cross=cross).items():
        out = torch.where(shape == DOMAIN.shapes.index(name), distance, out)
    return out


def rasterise(objects, background, count, x, y, r, angle, size):
    """Clips [n, 3, frames, size, size] in -1..1, the first object beneath the second."""
    device = x.device
    grid = (torch.arange(size, device=device) + 0.5) / size * 2 - 1
    colours = torch.tensor(DOMAIN.colour_rgb, device=device)
    image = torch.tensor(DOMAIN.background_rgb, device=device)[background][:, :, None, None, None]
    for o in range(2):
        def per_frame(v):
            return v[:, o, :, None, None]
        dx, dy = grid[None, None, None, :] - per_frame(x), grid[None, None, :, None] - per_frame(y)
        c, s = per_frame(angle).cos(), per_frame(angle).sin()
        distance = signed_distance(objects[:, o, 1][:, None, None, None], dx * c + dy * s, dy * c - dx * s, per_frame(r))
        cover = (0.5 - distance * size / 2).clamp(0, 1) * (count > o)[:, None, None, None]
        image = image + (colours[objects[:, o, 0]][:, :, None, None, None] - image) * cover[:, None]
    return image * 2 - 1


_compiled = {}


def painter(size, device):
    """rasterise, on a GPU as one fused kernel instead of forty passes over the clips."""
    if torch.device(device).type == "cuda":
        return _compiled.setdefault(size, torch.compile(rasterise, dynamic=False))
    return rasterise


def draw_clips(n, size=DOMAIN.size, frames=DOMAIN.frames, device="cpu", generator=None, labels=None, dtype=torch.float32):
    """Clips [n, 3, frames, size, size] in -1..1 and their Labels (given, or random ones that hold nothing unseen)."""
    labels = labels or draw_labels(n, device, generator)
    path = trajectories(labels, frames, generator)
    paint = painter(size, device)
    return paint(labels.objects, labels.background, labels.count, *path, size).to(dtype), labels


def write_mp4(clip, path, crf=10):
    """Clip [3, frames, height, width] in -1..1 to H.264."""
    frames = ((clip.permute(1, 2, 3, 0) + 1) * 127.5).round().clamp(0, 255).byte().cpu().contiguous()
    height, width = frames.shape[1:3]
    subprocess.run(
        f"ffmpeg -y -loglevel error -f rawvideo -pix_fmt rgb24 -s {width}x{height} -r {DOMAIN.fps} -i - "
        "-vf scale=out_color_matrix=bt709:out_range=tv -colorspace bt709 -color_primaries bt709 -color_trc bt709 "
        f"-c:v libx264 -preset veryslow -crf {crf} -pix_fmt yuv420p".split() + [str(path)],
        input=frames.numpy().tobytes(), check=True)


def write_validation(folder, singles=60, pairs=20):
    """Clips with their truth: every motion with every shape once, then pairs; spins only where they can be seen."""
    import random

    from phrase import caption

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    generator, words = torch.Generator().manual_seed(1), random.Random(1)
    entries = []
    for name, number, two_objects in (("single", singles, 0.0), ("pair", pairs, 1.0)):
        labels = draw_labels(number, "cpu", generator, two_objects)
        if name == "single":
            at = torch.arange(number)
            labels.objects[:, 0, 1] = (at // len(DOMAIN.motions)) % len(DOMAIN.shapes)
            labels.objects[:, 0, 3] = at % len(DOMAIN.motions)
        hidden = labels.objects[:, :, 3] == DOMAIN.motions.index("spin")
        for shape in LOOKS_THE_SAME_TURNED:
            swap = hidden & (labels.objects[:, :, 1] == DOMAIN.shapes.index(shape))
            labels.objects[:, :, 1][swap] = DOMAIN.shapes.index("star")
        clips, _ = draw_clips(number, generator=generator, labels=labels)
        for i, clip in enumerate(clips):
            file, truth = f"{name}-{i:02d}.mp4", labels.describe(i)
            write_mp4(clip, folder / file)
            entries.append(dict(file=file, prompt=caption(truth, words), **truth))
    (folder / "labels.json").write_text("[\n" + ",\n".join("  " + json.dumps(e) for e in entries) + "\n]\n")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--validation", metavar="DIR", required=True)
    write_validation(arguments.parse_args().validation)
