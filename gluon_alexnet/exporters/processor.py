"""What this machine's processor can multiply."""

from __future__ import annotations

from pathlib import Path

BFLOAT16 = {"avx512_bf16", "amx_bf16"}  # flags of /proc/cpuinfo: either instruction set multiplies bfloat16
_CPUINFO = Path("/proc/cpuinfo")


def no_bfloat16() -> str | None:
    """Why this machine cannot compute in bfloat16, in words; None where it can."""
    try:
        lines = _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return f"{_CPUINFO} does not tell what this processor can do"
    flags = next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())
    if flags & BFLOAT16:
        return None
    return "this processor has no arithmetic for bfloat16 (neither avx512_bf16 nor amx_bf16 in /proc/cpuinfo)"
