"""Makes the default model's recipe importable here: its world, its drawing, its optimiser. Import this first.

    from world import DOMAIN
    from draw import draw_labels      # ../../pocket/recipe/draw.py
"""
import sys
from pathlib import Path

CHECKPOINT = Path(__file__).resolve().parent.parent
PROMPTS = CHECKPOINT.parent / "prompts"
sys.path.append(str(CHECKPOINT.parent / "pocket" / "recipe"))

from domain import DOMAIN  # noqa: E402,F401
