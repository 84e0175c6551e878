"""Where there is no GPU, or nobody asked for one, the tests beside this are skipped."""

import os

import pytest
import torch

NEEDED = "LYMPHOFEAT_NEEDS_GPU"  # `make gpu` sets it; without it, tests/conftest.py hides the GPU


@pytest.fixture(autouse=True)
def _gpu() -> None:
    if not os.environ.get(NEEDED):
        pytest.skip(f"needs a GPU, and ${NEEDED}: `make gpu`")
    if not torch.cuda.is_available():
        pytest.fail(f"${NEEDED} is set, but torch finds no GPU")
