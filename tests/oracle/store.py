"""Where goldens are written: one folder a case, its tensors in safetensors files, its facts in case.json.

    case = Case(output, "cog2b", "CogVideoX-2b in small")
    case.put("stages", "prompt_embeds", tensor, "T5 output of the prompt, 226 rows")
    case.facts["seed"] = 42
    case.write()

Every tensor carries a sentence of what it is; README.md's tables are made from those.
"""

import json
import re
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file


class Case:
    def __init__(self, output: Path, name: str, purpose: str):
        self.folder = output / name
        self.name = name
        self.purpose = purpose
        self.files: dict[str, dict[str, torch.Tensor]] = {}
        self.about: dict[str, dict[str, str]] = {}
        self.facts: dict = {"case": name, "purpose": purpose}
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)

    def put(self, file: str, name: str, tensor: torch.Tensor, about: str) -> None:
        assert name not in self.files.setdefault(file, {}), f"{file}: {name} twice"
        if tensor.is_floating_point():
            assert torch.isfinite(tensor.double()).all(), f"{self.name}/{file}: {name} is not finite"
        self.files[file][name] = tensor.detach().clone().contiguous()
        self.about.setdefault(file, {})[name] = about

    def write(self) -> None:
        for file, tensors in self.files.items():
            save_file(dict(sorted(tensors.items())), self.folder / f"{file}.safetensors")
        text = json.dumps(self.facts, indent=2, ensure_ascii=True)
        text = re.sub(r"\[\s+((?:-?[\d.e+-]+,\s+)*-?[\d.e+-]+)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m[1]) + "]", text)
        (self.folder / "case.json").write_text(text + "\n")

    def table(self) -> str:
        """This case's tensors as Markdown; step.0.x, step.1.x, ... share a row."""
        lines = [f"## `{self.name}`", "", self.purpose, ""]
        for file, tensors in self.files.items():
            rows: dict[tuple, list[str]] = {}
            for name, tensor in tensors.items():
                kind = str(tensor.dtype).removeprefix("torch.")
                key = (re.sub(r"\.\d+(?=\.)", ".{i}", name), kind, tuple(tensor.shape), self.about[file][name])
                rows.setdefault(key, []).append(name)
            lines += [f"`{self.name}/{file}.safetensors`", "", "| tensor | dtype, shape | what it is |", "|---|---|---|"]
            for (pattern, kind, shape, about), names in rows.items():
                shown = names[0] if len(names) == 1 else f"{pattern} (i: {', '.join(indices(names))})"
                lines.append(f"| `{shown}` | {kind} {list(shape)} | {about} |" if len(names) == 1
                             else f"| `{pattern}` (i = {', '.join(indices(names))}) | {kind} {list(shape)} | {about} |")
            lines.append("")
        return "\n".join(lines)


def indices(names: list[str]) -> list[str]:
    return [re.search(r"\.(\d+)\.", name)[1] for name in names]
