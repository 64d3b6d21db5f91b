"""The papers' tables and figures on our own runs; each experiment is a module, see README.md."""

import os

# Before JAX starts: fleets spread over the cores.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", str(os.cpu_count() or 1))
