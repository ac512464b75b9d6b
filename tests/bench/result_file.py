"""What every result file of a measurement says of how it came about."""

import os
import platform
from pathlib import Path

ROOT = Path(__file__).absolute().parents[2]


def machine() -> dict:
    cpuinfo = Path("/proc/cpuinfo").read_text()
    field = lambda name: next(line.split(":", 1)[1].strip() for line in cpuinfo.splitlines() if line.startswith(name))
    flags = set(field("flags").split())
    return {"processor": field("model name"), "cores": os.cpu_count(), "cores_used": len(os.sched_getaffinity(0)),
            "system": platform.platform(), "bf16_instructions": sorted(flags & {"avx512_bf16", "amx_bf16"}),
            "load_before": os.getloadavg()[0]}


def portable(word: str) -> str:
    """A path in the repository from its root, of any other, which is a matter of the machine, the name alone."""
    if "/" not in word:
        return word
    option, equals, value = word.rpartition("=")
    path = Path(os.path.abspath(value))
    return option + equals + (str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name)
