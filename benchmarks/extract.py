"""The frozen pass against the usual script, end to end: decode, forward, write.

    python benchmarks/extract.py [COHORT] [--images 2560] [--rounds 3]

The usual script is what most people would write: torchvision's model in evaluation mode, `no_grad`, a DataLoader with
a worker per core, torchvision transforms, NCHW, batches of 64, `np.save`. Each side runs in a process of its own, in
turn, `--rounds` times; imports are not counted, the model's building is. Without COHORT, one is simulated.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

CROP, BATCH = 112, 64


def usual(images: list[Path], out: Path) -> float:
    """Seconds of the usual script."""
    import numpy as np
    import torch
    import torchvision
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset
    from torchvision import transforms

    from lymphofeat.parallel import usable_cores

    class Cells(Dataset):  # type: ignore[type-arg]
        transform = transforms.Compose(
            [
                transforms.CenterCrop(CROP),
                transforms.ToTensor(),
                transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )

        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, i: int) -> torch.Tensor:
            return self.transform(Image.open(images[i]).convert("RGB"))

    start = time.perf_counter()
    torch.manual_seed(0)
    model = torchvision.models.resnet18(weights=None)
    model.fc = torch.nn.Identity()
    model.eval()
    features = []
    with torch.no_grad():
        for batch in DataLoader(Cells(), batch_size=BATCH, num_workers=usable_cores()):
            features.append(model(batch).numpy())
    np.save(out, np.concatenate(features))
    return time.perf_counter() - start


def ours(cohort: Path, limit: int, dtype: str, out: Path) -> float:
    """Seconds of `extract`'s blocks; then its features as an .npy for the comparison."""
    import numpy as np

    from lymphofeat.cache import open_cache
    from lymphofeat.cache.extract import ExtractSettings, extract_frozen

    settings = ExtractSettings(weights="none", seed=0, crop=CROP, batch_size=BATCH, dtype=dtype, device="cpu")
    start = time.perf_counter()
    summary = extract_frozen(limited(cohort, limit), out.with_suffix(".h5"), settings)
    seconds = time.perf_counter() - start
    np.save(out, open_cache(summary.cache).encodings[summary.encoding].features)
    return seconds


def limited(cohort: Path, limit: int):
    """Every so many-th patient of the cohort, about `limit` images in all, as a cohort that can be extracted."""
    from lymphofeat.cohort import read_cohort

    whole = read_cohort(cohort)
    step = max(1, round(len(whole.images) / limit))
    return replace(whole, patients=whole.patients[::step])


def one_side(cohort: Path, limit: int, side: str, out: Path) -> tuple[float, int]:
    images = limited(cohort, limit).images
    seconds = usual(images, out) if side == "usual" else ours(cohort, limit, side, out)
    return seconds, len(images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", nargs="?", type=Path)
    parser.add_argument("--images", type=int, default=2560)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(one_side(options.cohort, options.images, options.side, options.out)))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(options.cohort or draw(Path(folder) / "cohort", options.images), options, Path(folder))


def draw(path: Path, images: int) -> Path:
    from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort

    return simulate_cohort(path, SimulationSettings(patients=max(20, images // 40), seed=0))


def compare(cohort: Path, options: argparse.Namespace, folder: Path) -> None:
    import numpy as np

    from lymphofeat.encoder.frozen import has_fast_bfloat16
    from lymphofeat.parallel import usable_cores

    sides = ["usual", "float32", "bfloat16"]
    rates: dict[str, list[float]] = {side: [] for side in sides}
    for number in range(options.rounds):
        for side in sides:
            out = folder / f"{side}{number}.npy"
            command = [sys.executable, __file__, str(cohort), "--images", str(options.images)]
            done = subprocess.run(
                [*command, "--side", side, "--out", str(out)], check=True, capture_output=True, text=True
            )
            seconds, n = json.loads(done.stdout.splitlines()[-1])
            rates[side].append(n / seconds)
            print(f"round {number + 1}  {side:9s} {n / seconds:6.1f} images/s", flush=True)
    exact = np.load(folder / "usual0.npy")
    for side, asked in (("float32", 1.5), ("bfloat16", 2.5)):
        ratios = [a / b for a, b in zip(rates[side], rates["usual"], strict=True)]
        found = np.load(folder / f"{side}0.npy")
        error = np.linalg.norm(found - exact) / np.linalg.norm(exact)
        print(
            f"{side}: {median(ratios):.2f} × the usual script (asked: {asked}; "
            f"rounds {', '.join(f'{r:.2f}' for r in ratios)}), relative error {error:.1e}"
        )
    import torch

    fast = has_fast_bfloat16(torch.device("cpu"))
    print(
        f"{usable_cores()} cores, bfloat16 arithmetic: {'yes' if fast else 'no'}, torch {torch.__version__}"
    )


if __name__ == "__main__":
    main()
