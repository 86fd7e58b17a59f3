"""The processor's multiply-add rate: independent FMAs in registers, a thread a core, compiled by this machine's cc."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

CHAINS = 24  # independent sums: more than latency times units of any processor, fewer than its registers
TRIES, SECONDS = 5, 0.3
SOURCE = """
#if defined(__AVX512F__)
typedef float lanes __attribute__((vector_size(64)));
#elif defined(__AVX__)
typedef float lanes __attribute__((vector_size(32)));
#else
typedef float lanes __attribute__((vector_size(16)));
#endif
int width(void) { return sizeof(lanes) / sizeof(float); }
float run(long rounds, float factor, float addend) {
    lanes one = {0}, a = one + factor, b = one + addend, s[CHAINS];
    for (int i = 0; i < CHAINS; i++) s[i] = one + (float)i;
    for (long r = 0; r < rounds; r++)
#pragma GCC unroll 32
        for (int i = 0; i < CHAINS; i++) s[i] = s[i] * a + b;
    float total = 0;
    for (int i = 0; i < CHAINS; i++) total += s[i][0];
    return total;
}
"""


def multiply_add_peak() -> float | None:
    """Floating-point operations a second of all cores at once, the fastest of some tries; None without a compiler."""
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "peak.c", Path(folder) / "peak.so"
        source.write_text(SOURCE)
        flags = ["-O3", "-march=native", "-ffp-contract=fast", f"-DCHAINS={CHAINS}"]
        subprocess.run([compiler, *flags, "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
        kernel = ctypes.CDLL(str(library))
    kernel.run.argtypes, kernel.run.restype = [ctypes.c_long, ctypes.c_float, ctypes.c_float], ctypes.c_float
    cores = len(os.sched_getaffinity(0))
    operations = 2 * CHAINS * kernel.width()  # of a round

    def timed(rounds: int) -> float:
        began = time.perf_counter()
        with ThreadPoolExecutor(cores) as pool:  # ctypes holds no lock of Python's meanwhile
            list(pool.map(lambda _: kernel.run(rounds, 0.999, 0.001), range(cores)))
        return time.perf_counter() - began

    rounds = 1_000_000
    rounds = int(rounds * SECONDS / timed(rounds)) + 1
    return max(cores * rounds * operations / timed(rounds) for _ in range(TRIES))


if __name__ == "__main__":
    rate = multiply_add_peak()
    print("no C compiler here" if rate is None else f"{rate / 1e9:.0f} GFLOP/s by multiply-adds, all cores")
