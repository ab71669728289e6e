"""What holds for all tests: two CPU devices, and nothing else than the CPU."""

from __future__ import annotations

import os

# JAX reads these once, when it first looks for devices. Kernels and other processes
# that tests start inherit them.
os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = " ".join(
    [os.environ.get("XLA_FLAGS", ""), "--xla_force_host_platform_device_count=2"]
).strip()
