"""What XLA is told on a CPU, of the libraries that it calls and of the passes that it runs.

For small matrix products the call of a library costs more than the product. And one that waits for threads of the pool on which it was
called may wait for ever: draws that looped over batched products were seen to stop so, now and then, on two cores.
"""

from __future__ import annotations

from typing import Any

import jax


def without_libraries() -> dict[str, bool | str]:
    """Options of the compiler; none on an accelerator."""
    if jax.default_backend() != "cpu":
        return {}
    return {"xla_cpu_experimental_ynn_fusion_type": "", "xla_cpu_multi_thread_eigen": False}


def lightly(level: int = 0) -> dict[str, Any]:
    """Options for what is small, or runs once: without passes that would take longer than they save; none on an accelerator.

    Level 1 is for what runs often on small arrays: as fast as all passes, in half the time to compile.
    """
    if jax.default_backend() != "cpu":
        return {}
    return {"xla_cpu_parallel_codegen_split_count": 1, "xla_cpu_use_fusion_emitters": False, "xla_backend_optimization_level": level}
