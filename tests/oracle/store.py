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

NUMBER = r"\.\d+(?=\.|$)"


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
        """This case's tensors as Markdown; names that differ in numbers only share a row."""
        lines = [f"## `{self.name}`", "", self.purpose, ""]
        for file, tensors in self.files.items():
            rows: dict[tuple[str, str], list[str]] = {}
            for name in tensors:
                rows.setdefault((re.sub(NUMBER, ".{i}", name), self.about[file][name]), []).append(name)
            lines += [f"`{self.name}/{file}.safetensors`", "", "| tensor | dtype, shape | what it is |", "|---|---|---|"]
            for (pattern, about), names in rows.items():
                kinds = {f"{str(tensors[n].dtype).removeprefix('torch.')} {list(tensors[n].shape)}": None for n in names}
                numbers = [".".join(re.findall(NUMBER, n)).replace("..", ".").lstrip(".") for n in names]
                several = f" (i = {', '.join(numbers)})" if len(names) <= 16 else f" ({len(names)} tensors: see case.json)"
                shown = f"`{names[0]}`" if len(names) == 1 else f"`{pattern}`{several}"
                shapes = "; ".join(kinds) if len(kinds) <= 6 else f"{next(iter(kinds))}; and {len(kinds) - 1} other shapes"
                lines.append(f"| {shown} | {shapes} | {about} |")
            lines.append("")
        return "\n".join(lines)
