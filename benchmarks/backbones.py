"""The frozen pass of every shipped backbone against the usual script's: CPU time of one thread, in turn.

    python benchmarks/backbones.py [BACKBONE …] [--images 64] [--rounds 5]

The usual pass is the network in evaluation mode on one NCHW batch under `no_grad`; ours is `FrozenEncoder` on the same
pixels, normalisation included on both sides. Decoding is left out, and the machine may be busy: CPU time is compared.
"""

import argparse
import time
from statistics import median

import numpy as np
import torch

from lymphofeat.encoder.backbones import BACKBONES, backbone_named, untrained
from lymphofeat.encoder.frozen import FrozenEncoder
from lymphofeat.encoder.pixels import Preprocessing

CROP = 112


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("backbone", nargs="*", default=[*BACKBONES, "efficientnet-lite0"])
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for name in options.backbone:
        compare(name, options.images, options.rounds)


def compare(name: str, n: int, rounds: int) -> None:
    backbone = backbone_named(name)
    size = backbone.input_size if backbone.input_size != CROP else None
    preprocessing = Preprocessing(CROP, backbone.mean, backbone.std, input_size=size)
    network = untrained(backbone, 0).eval()
    lean = FrozenEncoder(network, preprocessing, torch.device("cpu"), torch.float32)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (n, CROP, CROP, 3), dtype=torch.uint8, generator=generator)

    def usual() -> np.ndarray:
        with torch.no_grad():
            batch = preprocessing.normalise(pixels, torch.float32).contiguous()
            return network(batch).numpy()

    exact, found = usual(), lean(pixels)
    times = [(seconds(usual) / n, seconds(lambda: lean(pixels)) / n) for _ in range(rounds)]
    ratios = [before / after for before, after in times]
    print(
        f"{name}: usual {1000 * min(t[0] for t in times):.1f} ms, "
        f"ours {1000 * min(t[1] for t in times):.1f} ms an image; "
        f"{median(ratios):.2f} × (rounds {', '.join(f'{r:.2f}' for r in ratios)}), "
        f"relative error {np.linalg.norm(found - exact) / np.linalg.norm(exact):.1e}",
        flush=True,
    )


def seconds(work) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


if __name__ == "__main__":
    main()
