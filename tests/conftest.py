"""What holds for all tests."""

import os

# Processors with bfloat16 would take it where nothing else is asked for, if it is the faster: other names, other bits.
# Read by oneDNN when it computes first, and inherited by processes that tests start.
os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"

# So would a GPU. `make gpu` runs the tests that are meant for one, which see it.
if not os.environ.get("LYMPHOFEAT_NEEDS_GPU"):
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
