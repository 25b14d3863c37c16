"""What XLA is told of the libraries that it calls for matrix products on a CPU: to leave them alone.

For small products the call costs more than the product. And a library that waits for threads of the pool on which it was called may wait
for ever: draws that looped over batched products were seen to stop so, now and then, on two cores.
"""

from __future__ import annotations

import jax


def without_libraries() -> dict[str, bool | str]:
    """Options of the compiler; none on an accelerator."""
    if jax.default_backend() != "cpu":
        return {}
    return {"xla_cpu_experimental_ynn_fusion_type": "", "xla_cpu_multi_thread_eigen": False}
