"""What a GPU's arithmetic costs and gives: as PyTorch has it by default, and as lymphofeat holds it (encoder/gpu.py).

    python benchmarks/gpu.py [--images 256] [--steps 20] [--device cuda]

The frozen pass is compared with the CPU's in float32 (relative error of all features), a training with itself: whether
the same steps give the same weights twice. Pixels are random.
"""

import argparse
import time
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch.nn import functional

from lymphofeat.encoder.backbones import BACKBONES, untrained
from lymphofeat.encoder.frozen import DTYPES, FrozenEncoder
from lymphofeat.encoder.gpu import gpu_work
from lymphofeat.encoder.pixels import Preprocessing

CROP, BATCH, PATIENTS, IMAGES_EACH = 112, 64, 8, 24


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=256, help="a multiple of 64")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    device = torch.device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    print(f"{name}, torch {torch.__version__}, crop {CROP}")
    generator = torch.Generator().manual_seed(0)
    shape = (options.images, CROP, CROP, 3)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)
    for backbone in ("resnet18", "resnet34"):
        frozen(backbone, pixels, device)
    trainings(device, options.steps)


def frozen(backbone: str, pixels: torch.Tensor, device: torch.device) -> None:
    known = BACKBONES[backbone]
    preprocessing = Preprocessing(CROP, known.mean, known.std)
    batches = pixels.split(BATCH)

    def encoder(where: torch.device, dtype: torch.dtype) -> FrozenEncoder:
        return FrozenEncoder(untrained(known, 0).eval(), preprocessing, where, dtype, batch=BATCH)

    def usual(batch: torch.Tensor) -> np.ndarray:
        """The pass outside of `gpu_work`: float32 as PyTorch has it."""
        with torch.inference_mode():
            return network(preprocessing.normalise(batch.to(device), torch.float32)).cpu().numpy()

    exact = np.concatenate([encoder(torch.device("cpu"), torch.float32)(batch) for batch in batches])
    network = untrained(known, 0).eval().to(device, memory_format=torch.channels_last)
    passes = {"float32, PyTorch's default": usual}
    passes |= {f"{name}, held": encoder(device, dtype) for name, dtype in DTYPES.items()}
    for name, encode in passes.items():
        found = np.concatenate([encode(batch) for batch in batches])
        start = time.perf_counter()
        for _ in range(5):
            for batch in batches:
                encode(batch)
        each = (time.perf_counter() - start) / 5 / len(pixels)
        error = np.linalg.norm(found - exact) / np.linalg.norm(exact)
        print(f"{backbone}, {name}: {1e6 * each:.1f} µs an image, relative error {error:.1e}", flush=True)


def trainings(device: torch.device, steps: int) -> None:
    for name, dtype in DTYPES.items():
        for held in (False, True):
            around = gpu_work(device, learns=True) if held else nullcontext()
            with around:
                (once, seconds), (again, _) = (training(device, dtype, steps) for _ in range(2))
            alike = "the same" if torch.equal(once, again) else "not the same"
            how = "held" if held else "PyTorch's default"
            print(
                f"training, {name}, {how}: {1e3 * seconds:.1f} ms a step, twice {alike} weights", flush=True
            )


def training(device: torch.device, dtype: torch.dtype, steps: int) -> tuple[torch.Tensor, float]:
    """All weights after so many steps of a ResNet18 on 8 patients × 24 images, and the seconds of a step."""
    known = BACKBONES["resnet18"]
    network = untrained(known, 0).train().to(device, memory_format=torch.channels_last)
    last = torch.full((known.dim, 1), 0.01, device=device)
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-4)
    generator = torch.Generator().manual_seed(1)
    shape = (PATIENTS * IMAGES_EACH, 3, CROP, CROP)
    images = torch.randn(shape, generator=generator).to(device, memory_format=torch.channels_last)
    owner = torch.arange(len(images), device=device) % PATIENTS
    labels = (torch.arange(PATIENTS, device=device) % 2).float()
    warm = min(5, steps - 1)
    for step in range(steps):
        if step == warm:
            settled(device)
            start = time.perf_counter()
        optimiser.zero_grad(set_to_none=True)
        precision: AbstractContextManager[object] = torch.autocast(
            device.type, torch.bfloat16, enabled=dtype == torch.bfloat16
        )
        with precision:
            features = network(images)
        bags = torch.zeros(PATIENTS, known.dim, device=device).index_add_(0, owner, features.float())
        functional.binary_cross_entropy_with_logits((bags / IMAGES_EACH @ last)[:, 0], labels).backward()
        optimiser.step()
    settled(device)
    seconds = (time.perf_counter() - start) / (steps - warm)
    return torch.cat([p.detach().flatten() for p in network.parameters()]).cpu(), seconds


def settled(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
