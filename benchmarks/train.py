"""Fine-tuning on the CPU: against the usual loop, upper layers against all, and its memory.

    python benchmarks/train.py epoch  [--patients 40] [--rounds 3]     one epoch, ours and the usual loop in turn
    python benchmarks/train.py layers [--patients 40] [--rounds 1]     --train-from layer4 against all layers
    python benchmarks/train.py memory [--patients 32]                  peak at 8 times the images against 1 time

Everything runs on a simulated cohort, each measurement in a process of its own. How to read what is printed:
`docs/performance.md`, "Training".
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from lymphofeat.cache.extract import ExtractSettings
from lymphofeat.cache.finetune import FinetuneSettings, extract_finetuned
from lymphofeat.cohort import read_cohort
from lymphofeat.cohort.fingerprint import image_digests
from lymphofeat.cohort.model import Cohort
from lymphofeat.encoder.backbones import BACKBONES, untrained
from lymphofeat.encoder.frozen import DTYPES, has_fast_bfloat16
from lymphofeat.encoder.pixels import Preprocessing
from lymphofeat.encoder.preparation import IMAGENET_MEAN, IMAGENET_STD
from lymphofeat.parallel import disable_malloc_trim, usable_cores
from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort
from lymphofeat.training.augment import Augmenter, AugmentSpec
from lymphofeat.training.epochs import prepare_network
from lymphofeat.training.networks import PatientNetwork
from lymphofeat.training.pixel_store import open_pixels
from lymphofeat.training.recipe import LossRecipe, Recipe
from lymphofeat.training.recipe_file import change_recipe, find_recipe
from lymphofeat.training.sources import PixelSource
from lymphofeat.training.step import Group, TrainingStep, draw_groups

CPU = torch.device("cpu")
RESNET = BACKBONES["resnet18"]
CROP, PATIENTS_A_STEP, IMAGES_A_PATIENT, IMAGES_A_BATCH = 112, 8, 24, 64
# What torchvision can do too; the stain jitter of the default recipe costs another 0.1 ms an image.
SAME = AugmentSpec(flip=True, rotate="right", brightness=0.1, contrast=0.1, saturation=0.1)
PREPROCESSING = Preprocessing(CROP, IMAGENET_MEAN, IMAGENET_STD)
FOLDS, EPOCHS = 5, 5
QUIET = 0.05  # of the processor time of a measurement may go to other processes
Result = dict[str, Any]


# --- one epoch ----------------------------------------------------------------------------------------------------


class Cells(Dataset):  # type: ignore[type-arg]
    """Files to augmented tensors, one at a time."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self.transform = transforms.Compose(
            [
                transforms.CenterCrop(CROP),
                transforms.RandomHorizontalFlip(),
                transforms.RandomVerticalFlip(),
                transforms.RandomChoice([transforms.RandomRotation((a, a)) for a in (0, 90, 180, 270)]),
                transforms.ColorJitter(SAME.brightness, SAME.contrast, SAME.saturation),
                transforms.ToTensor(),
                transforms.Normalize(list(IMAGENET_MEAN), list(IMAGENET_STD)),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> torch.Tensor:
        image: torch.Tensor = self.transform(Image.open(self.files[i]).convert("RGB"))
        return image


def an_epoch(cohort: Cohort) -> tuple[list[Group], np.ndarray]:
    """Its steps, the same for both sides, and the labels."""
    sizes = np.array([len(p.images) for p in cohort.patients])
    rng = np.random.default_rng(0)
    groups = draw_groups(np.cumsum(sizes) - sizes, sizes, PATIENTS_A_STEP, IMAGES_A_PATIENT, rng)
    return groups, np.arange(len(sizes)) % 2


def usual_epoch(cohort: Cohort, _: str) -> Result:
    """Bags as most would train them: DataLoader with two workers, float32, NCHW, the graph kept until the bag ends."""
    groups, labels = an_epoch(cohort)
    batches = [part for g in groups for part in np.array_split(g.rows, -(-len(g.rows) // IMAGES_A_BATCH))]
    loader = DataLoader(
        Cells(cohort.images), batch_sampler=[part.tolist() for part in batches], num_workers=2
    )
    torch.manual_seed(0)
    model = untrained(RESNET, 0)
    model.fc = nn.Linear(RESNET.dim, 1)
    backbone = nn.Sequential(*list(model.children())[:-1], nn.Flatten())
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-4)
    loss_of = nn.BCEWithLogitsLoss()
    model.train()
    _warm_up(lambda: backbone(torch.randn(IMAGES_A_BATCH, 3, CROP, CROP)).mean().backward())
    start, coming = time.perf_counter(), iter(loader)
    for group in groups:
        optimiser.zero_grad()
        parts = -(-len(group.rows) // IMAGES_A_BATCH)
        features = torch.cat([backbone(next(coming)) for _ in range(parts)])
        owner = torch.from_numpy(group.owner)
        bags = torch.stack([features[owner == p].mean(0) for p in range(len(group.patients))])
        loss = loss_of(model.fc(bags)[:, 0], torch.from_numpy(labels[group.patients]).float())
        loss.backward()
        optimiser.step()
    return {"seconds": time.perf_counter() - start, "images": sum(len(g.rows) for g in groups)}


def our_epoch(cohort: Cohort, how: str) -> Result:
    """The package's step; `how` is "<dtype> <images that pass through the network together>"."""
    dtype, together = DTYPES[how.split()[0]], int(how.split()[1])
    groups, labels = an_epoch(cohort)
    disable_malloc_trim()
    augmenter = Augmenter(SAME, PREPROCESSING)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        store = open_pixels(cohort.images, image_digests(cohort.images), Path(folder), augmenter.side)
        decoding = time.perf_counter() - start
        network = PatientNetwork(untrained(RESNET, 0), RESNET.dim, Recipe("same"), seed=0)
        prepare_network(network, CPU).train()
        step = TrainingStep(
            network,
            PixelSource(store, augmenter, CPU),
            torch.optim.Adam(network.parameters(), lr=1e-4, fused=True),
            torch.from_numpy(labels).float(),
            torch.zeros(len(labels), 0),
            LossRecipe(),
            torch.ones(2),
            images=together,
            device=CPU,
            dtype=dtype,
        )
        _warm_up(lambda: step.gradients(groups[0], 0))
        start = time.perf_counter()
        for number, group in enumerate(groups):
            step(group, 1000 * number)
        seconds = time.perf_counter() - start
    return {"seconds": seconds, "images": sum(len(g.rows) for g in groups), "decoding": decoding}


def _warm_up(work: Callable[[], Any]) -> None:
    """The first pass chooses kernels and touches memory; it is not counted on either side."""
    work()


# --- upper layers against all, memory --------------------------------------------------------------------------------


class Stages:
    """A progress that keeps how many seconds each stretch of work took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._what, self._began = "", 0.0

    def start(self, what: str, total: int, unit: str, done: int = 0) -> None:
        self._what, self._began = what.split()[0], time.perf_counter()

    def advance(self, n: int = 1) -> None: ...

    def note(self, text: str) -> None: ...

    def stop(self) -> None:
        self.seconds[self._what] = self.seconds.get(self._what, 0.0) + time.perf_counter() - self._began


def finetuned(cohort: Cohort, training: dict[str, Any], folds: int, dtype: str) -> dict[str, float]:
    """A whole `extract --finetune` by the default recipe with some changes: seconds of its stages."""
    changes = {"training": training, "schedule": {"warm_up": 0}}
    recipe = change_recipe(find_recipe("default"), changes, "benchmark")
    extract = ExtractSettings(weights="none", seed=0, n_folds=folds, n_repeats=1, device="cpu", dtype=dtype)
    stages = Stages()
    with tempfile.TemporaryDirectory() as folder:
        extract_finetuned(cohort, Path(folder) / "c.h5", FinetuneSettings(recipe, extract), progress=stages)
    return stages.seconds


def training_time(cohort: Cohort, how: str) -> Result:
    """Seconds of 5 folds × 5 epochs; `how` is "<train_from> <dtype>"."""
    train_from, dtype = how.split()
    stages = finetuned(cohort, {"epochs": EPOCHS, "train_from": train_from}, FOLDS, dtype)
    return {"stages": stages, "images": len(cohort.images)}


def finetuning_peak(cohort: Cohort, how: str) -> Result:
    """Peak memory in bytes; `how` is "<times the images> <train_from> <epochs>"."""
    times, train_from, epochs = how.split()
    copies = [replace(p, id=f"{p.id}-{k}") for k in range(int(times)) for p in cohort.patients]
    many = replace(cohort, patients=tuple(copies))
    finetuned(many, {"epochs": int(epochs), "train_from": train_from, "inner_folds": 2}, 2, "float32")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"bytes": peak * (1 if sys.platform == "darwin" else 1024), "images": len(many.images)}


# --- running and printing -----------------------------------------------------------------------------------------

SIDES = {"usual": usual_epoch, "ours": our_epoch, "training": training_time, "peak": finetuning_peak}


def measured(cohort: Path, side: str, how: str = "") -> Result:
    """Run one side in a process of its own."""
    command = [sys.executable, __file__, "side", "--cohort", str(cohort), "--side", side, "--how", how]
    busy, own = _busy_seconds(), _children_seconds()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    others = (_busy_seconds() - busy) - (_children_seconds() - own)
    result: Result = json.loads(done.stdout.splitlines()[-1])
    if others > QUIET * (_children_seconds() - own):
        print(f"  not quiet: other processes used {others:.0f} s of processor meanwhile", flush=True)
    return result


def _busy_seconds() -> float:
    """Processor time that all processes of the machine have used; 0 where the system does not tell."""
    if not Path("/proc/stat").exists():
        return 0.0
    user, nice, pipeline, _, _, irq, soft, *_ = map(
        int, Path("/proc/stat").read_text().split("\n")[0].split()[1:]
    )
    return (user + nice + pipeline + irq + soft) / os.sysconf("SC_CLK_TCK")


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def compare_epochs(cohort: Path, rounds: int) -> None:
    group = PATIENTS_A_STEP * IMAGES_A_PATIENT
    ours = [
        f"{dtype} {together}" for dtype in ("float32", "bfloat16") for together in (group, IMAGES_A_BATCH)
    ]
    rates: dict[str, list[float]] = {side: [] for side in ("usual", *ours)}
    for number in range(rounds):
        for side, found in rates.items():
            result = measured(cohort, "usual") if side == "usual" else measured(cohort, "ours", side)
            found.append(result["images"] / result["seconds"])
            extra = f", decoded once in {result['decoding']:.1f} s" if "decoding" in result else ""
            print(
                f"round {number + 1}  {side:12s} {found[-1]:6.1f} images/s, {result['images']} images{extra}",
                flush=True,
            )
    for side in ours:
        ratios = [a / b for a, b in zip(rates[side], rates["usual"], strict=True)]
        each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
        print(f"{side}: {median(ratios):.2f} × the usual loop (asked: 2.5; rounds {each})")


def compare_layers(cohort: Path, rounds: int, dtype: str) -> None:
    for number in range(rounds):
        whole, upper = (measured(cohort, "training", f"{layers} {dtype}") for layers in ("all", "layer4"))
        for layers, result in (("all", whole), ("layer4", upper)):
            each = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in result["stages"].items())
            print(f"round {number + 1}  {layers:6s} {dtype}, {result['images']} images: {each}", flush=True)
        below = upper["stages"]["layers"]
        ratio = (below + upper["stages"]["training"]) / whole["stages"]["training"]
        print(
            f"(layers below + training) from layer4 / training of all: {ratio:.3f} (asked: 0.25)", flush=True
        )


def compare_peaks(cohort: Path) -> None:
    for train_from in ("all", "layer4"):
        # as many steps on both sides: how memory is cut up settles over the first few
        one, eight = (measured(cohort, "peak", how) for how in (f"1 {train_from} 8", f"8 {train_from} 1"))
        print(
            f"--train-from {train_from}: {one['bytes'] / 1e9:.2f} GB at {one['images']} images, "
            f"{eight['bytes'] / 1e9:.2f} GB at {eight['images']}: {eight['bytes'] / one['bytes']:.3f} × (asked: 1.15)",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("epoch", "layers", "memory", "side"))
    parser.add_argument("--patients", type=int)
    parser.add_argument("--rounds", type=int)
    parser.add_argument(
        "--dtype", default="bfloat16" if has_fast_bfloat16(CPU) else "float32", choices=tuple(DTYPES)
    )
    for hidden in ("--cohort", "--side", "--how"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.what == "side":
        print(json.dumps(SIDES[options.side](read_cohort(Path(options.cohort)), options.how)))
        return
    with tempfile.TemporaryDirectory() as folder:
        # memory: small bags, so that 8 times the images take minutes; 8 of 32 patients learn, which is one full step
        n, bags = (32, (24, 32)) if options.what == "memory" else (40, (24, 60))
        spec = SimulationSettings(patients=options.patients or n, test_fraction=0.0, images_range=bags)
        cohort = simulate_cohort(Path(folder) / "cohort", spec)
        if options.what == "epoch":
            compare_epochs(cohort, options.rounds or 3)
        elif options.what == "layers":
            compare_layers(cohort, options.rounds or 1, options.dtype)
        else:
            compare_peaks(cohort)
    fast = "yes" if has_fast_bfloat16(CPU) else "no"
    print(f"{usable_cores()} cores, bfloat16 arithmetic: {fast}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
