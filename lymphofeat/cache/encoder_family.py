"""A fine-tuned encoder family: what its members share, and the stages that one of them goes through."""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..cohort.model import Cohort
from ..encoder.backbones import BACKBONES, backbone_named
from ..encoder.clinical import clinical_digest, clinical_values
from ..encoder.frozen import DTYPES, FrozenEncoder, choose_device
from ..encoder.identity import difference, identity_key
from ..encoder.pixels import Preprocessing, recorded_depth
from ..encoder.state_dict import state_digest
from ..encoder.weights import LoadedWeights, load_weights
from ..errors import StaleCacheError
from ..progress import Progress
from ..training.activations import open_activations, split_network
from ..training.augment import Augmenter
from ..training.checkpoint import TrainingState, inspect_checkpoint
from ..training.networks import PatientNetwork
from ..training.pixel_store import PixelStore, open_pixels
from ..training.recipe import Recipe
from ..training.recipe_file import find_recipe, recipe_names
from ..training.side_by_side import Job, train_all, worker_layout
from ..training.sources import ActivationSource, PixelSource, Source
from ..training.train import (
    LearningPatients,
    Training,
    images_of_an_epoch,
    prepare_network,
    seed_of,
    train_encoder,
)
from ..training.trained import load_trained, save_trained, trained_about
from .extract import ExtractSettings, fill
from .layout import CohortTables, EncodingSpec
from .members import Member, learning_patients
from .training_estimate import training_estimate
from .writer import PartialEncoding, partial_path, remove_leftovers

__all__ = ["Family", "encoder_family_name", "encoders_folder", "trainings_under_way"]


def encoders_folder(cache: Path) -> Path:
    """Where the trained encoders of a cache are kept, as `<encoding>.safetensors`."""
    return cache.with_name(f"{cache.stem}-encoders")


def trainings_under_way(cache: Path) -> Iterator[tuple[Path, TrainingState]]:
    """The checkpoints of encoders of this cache that are being trained, or whose training waits to go on.

    Raises:
        StaleCacheError: one cannot be read.
    """
    for path in sorted(encoders_folder(cache).glob("*.checkpoint")):
        yield path, inspect_checkpoint(path)


def encoder_family_name(recipe: Recipe, label: str, dtype: str = "float32") -> str:
    """The encoder family that a recipe makes from the weights `label` (`LoadedWeights.label`).

    What was changed in a recipe that comes with the package is part of the name.
    """
    usual = find_recipe(recipe.name) if recipe.name in recipe_names() else recipe
    now, before = recipe.training, usual.training
    own = (
        f"{recipe.name}-trained" if recipe.name in BACKBONES else recipe.name
    )  # not that of a frozen encoding
    parts = [own, label.removeprefix(f"{recipe.network.backbone}-")]
    parts += [recipe.network.backbone] if recipe.network.backbone != usual.network.backbone else []
    parts += [f"crop{now.crop}"] if now.crop != before.crop else []
    parts += [now.train_from] if now.train_from != before.train_from else []
    parts += [f"epochs{now.epochs}"] if now.epochs != before.epochs else []
    return "-".join(parts + ([] if dtype == "float32" else [dtype]))


class Family:
    """Everything that the encoders of a family share, and the stages that one of them goes through."""

    def __init__(
        self,
        cohort: Cohort,
        cache: Path,
        settings: ExtractSettings,
        name: str | None,
        recipe: Recipe,
        tables: CohortTables,
        workers: int | None,
        progress: Progress,
    ) -> None:
        self.cohort, self.cache, self.settings, self.recipe, self.tables = (
            cohort,
            cache,
            settings,
            recipe,
            tables,
        )
        self.workers, self.progress = workers, progress
        self.device, self.dtype = choose_device(settings.device), DTYPES[settings.dtype]
        self.seed = settings.seed or 0
        self.backbone = backbone_named(recipe.network.backbone)
        self.weights = self._start()
        self.name = name or encoder_family_name(recipe, self.weights.label, settings.dtype)
        preprocessing = Preprocessing(recipe.training.crop, self.backbone.mean, self.backbone.std)
        self.augmenter = Augmenter(recipe.augment, preprocessing)
        self.depth = recorded_depth(cohort.images)
        self.folder = encoders_folder(cache)
        self.values = clinical_values(tables.patients, recipe.clinical.values)
        self._building = threading.Lock()
        self._pixels: PixelStore | None = None  # once something was trained in this run

    def _start(self) -> LoadedWeights:
        """The start weights, as fresh modules."""
        weights = "none" if self.recipe.network.start == "random" else self.settings.weights
        return load_weights(self.backbone, weights, self.seed)

    def spec(self, member: Member) -> EncodingSpec:
        """What the member's encoding is: all that decides its features."""
        inference = self.augmenter.inference
        about = {
            "recipe": self.recipe.to_dict(),
            "backbone": self.backbone.name,
            "weights": self.weights.origin,
            "weights_digest": self.weights.digest,
            "seed": self.seed,
            "preprocessing": {
                "crop": inference.crop,
                "mean": list(inference.mean),
                "std": list(inference.std),
                "grey": inference.grey,
                "normalise_stain": inference.normalise_stain,
                **self.depth,
            },
            "dtype": self.settings.dtype,
            "device": self.device.type,
            "torch": str(torch.__version__),
        }
        if self.recipe.clinical.use != "none":
            about["clinical"] = clinical_digest(self.values)
        dim, block = self.backbone.dim, self.settings.batch_size
        return EncodingSpec(member.name, self.name, dim, block, member.held_out, about)

    def identity(self, member: Member) -> dict[str, Any]:
        """All that decides the member's training, as JSON values; not where it is computed, nor by which torch."""
        folds = np.ascontiguousarray(self.tables.folds[:, 0])
        return self.spec(member).identity | {
            "cohort": self.tables.fingerprint,
            "folds": blake2b(folds.data, digest_size=8).hexdigest(),
        }

    def former_keys(self, member: Member) -> frozenset[str]:
        """What versions up to 0.1 called the same training, whose digest covered device and torch as well."""
        spec, keys = replace(self.spec(member), block=0), []
        for device in ("cpu", "cuda", "mps"):
            about = spec.about | {"device": device}
            state = blake2b(
                f"{replace(spec, about=about).to_json()}{self.tables.fingerprint}".encode(), digest_size=16
            )
            state.update(np.ascontiguousarray(self.tables.folds[:, 0]).data)
            keys.append(state.hexdigest())
        return frozenset(keys)

    def encoder_path(self, member: Member) -> Path:
        return self.folder / f"{member.name}.safetensors"

    def checkpoint_path(self, member: Member) -> Path:
        return self.folder / f"{member.name}.checkpoint"

    def forget(self, members: Sequence[Member]) -> None:
        """Remove what earlier runs trained."""
        for member in members:
            self.encoder_path(member).unlink(missing_ok=True)
            self.checkpoint_path(member).unlink(missing_ok=True)

    def train(self, members: Sequence[Member]) -> None:
        """Train those that are not trained yet, and keep their networks beside the cache.

        Raises:
            StaleCacheError: a kept network is not the one that these settings would give.
        """
        untrained = [m for m in members if not self._is_trained(m)]
        if not untrained:
            return
        patients = [self.learners(m) for m in untrained]
        layout = worker_layout(self.device, int(self.tables.folds[:, 0].max()) + 1)
        if self.device.type == "cpu":
            self.progress.note(
                training_estimate(self._start().network, self.recipe, self.dtype, patients, layout)
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.folder, "")
        source = self._source(self._start())
        epochs = self.recipe.training.epochs
        jobs = [
            Job(
                member.name,
                epochs * images_of_an_epoch(self.recipe, learners),
                epochs,
                partial(self._train, member, learners, source),
            )
            for member, learners in zip(untrained, patients, strict=True)
        ]
        train_all(jobs, layout, self.progress)

    def learners(self, member: Member) -> LearningPatients:
        training = self.recipe.training
        return learning_patients(
            self.tables, member.held_out, self.recipe.clinical.values, training.inner_folds,
            seed_of(self.seed, member.name, "validating") % (1 << 32),
        )  # fmt: skip

    def encode(self, member: Member, *, anew: bool) -> None:
        """Encode all images with the member's trained network, and put the encoding into the cache."""
        trained = load_trained(self.encoder_path(member))
        network, about = prepare_network(trained.network, self.device), trained.about
        growing = PartialEncoding(self.cache, self.tables, self.spec(member), anew=anew)
        encoder = FrozenEncoder(network.backbone, self.augmenter.inference, self.device, self.dtype)
        began = time.perf_counter()
        fill(growing, self.cohort, encoder, self.workers, self.progress, self._pixels)
        own = self._own_probabilities(network, growing.features)
        made = {k: about[k] for k in ("history", "epoch", "learnt_from", "validated_on", "trained_digest")}
        seconds = about["seconds"] + time.perf_counter() - began
        growing.finish(own, made={**made, "seconds": seconds, "encoder": self.encoder_path(member).name})
        self.checkpoint_path(member).unlink(missing_ok=True)  # of a run that was killed just after training

    def _is_trained(self, member: Member) -> bool:
        path = self.encoder_path(member)
        if not path.exists():
            return False
        about, identity = trained_about(path), self.identity(member)
        if about.get("key") not in {identity_key(identity), *self.former_keys(member)}:
            before = about.get("identity")
            differing = difference(before, identity) if before else "settings, data or library versions"
            raise StaleCacheError(
                f"{path} was trained otherwise ({differing}); give what the first run was given, "
                "another --name to keep both, or --force to train it anew."
            )
        return True

    def _train(self, member: Member, patients: LearningPatients, source: Source, progress: Progress) -> None:
        start, network = self._fresh(member)
        training = Training(
            member.name, self.recipe, self.seed, self.checkpoint_path(member), self.identity(member), self.device,
            self.dtype, self.former_keys(member),
        )  # fmt: skip
        state = train_encoder(
            prepare_network(network, self.device), source, patients, training, progress=progress
        )
        network.backbone = start  # the whole one, whose upper part was trained
        self._keep(member, network.eval(), patients, state)
        self.checkpoint_path(member).unlink()

    def _fresh(self, member: Member) -> tuple[torch.nn.Module, PatientNetwork]:
        """The whole backbone with its start weights, and the network that trains it or its upper part."""
        with self._building:  # weights are drawn from torch's one global generator
            whole = self._start().network
            upper = whole
            if self.recipe.training.train_from != "all":
                _, upper = split_network(whole, self.recipe.training.train_from)
            seed = seed_of(self.seed, member.name, "head")
            return whole, PatientNetwork(upper, self.backbone.dim, self.recipe, seed)

    def _source(self, start: LoadedWeights) -> Source:
        """Where batches come from, for all members alike."""
        self._pixels = pixels = open_pixels(
            self.cohort.images, self.tables.digests, self.cache.parent, self.augmenter.side,
            crop=self.recipe.training.crop, bits=self.depth.get("bits", 16), workers=self.workers,
            progress=self.progress,
        )  # fmt: skip
        if self.recipe.training.train_from == "all":
            return PixelSource(pixels, self.augmenter, self.device)
        lower, _ = split_network(start.network, self.recipe.training.train_from)
        store = open_activations(
            lower, start.digest, pixels, self.augmenter, self.recipe.training.variants, self.cache.parent,
            seed=self.seed, device=self.device, workers=self.workers, progress=self.progress,
        )  # fmt: skip
        return ActivationSource(store, self.device, self.dtype)

    def _keep(
        self, member: Member, network: PatientNetwork, patients: LearningPatients, state: TrainingState
    ) -> None:
        identity = self.identity(member)
        about: dict[str, Any] = {
            "name": member.name,
            "blind_to": sorted(member.held_out),
            "key": identity_key(identity),
            "identity": identity,
            "trained_with": self.spec(member).provenance,
            "fingerprint": self.tables.fingerprint,
            "weights": self.weights.origin,
            "weights_digest": self.weights.digest,
            "trained_digest": state_digest(network.backbone.state_dict()),
            "epoch": state.best_epoch,
            "history": [{k: round(v, 6) for k, v in record.items()} for record in state.history],
            "learnt_from": int((~patients.validates).sum()),
            "validated_on": int(patients.validates.sum()),
            "seconds": state.seconds,
        }
        partial_path(self.cache, member.name).unlink(
            missing_ok=True
        )  # features of an earlier network of that name
        save_trained(self.encoder_path(member), network, self.recipe, about)

    def _own_probabilities(
        self, network: PatientNetwork, features: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """(n_patients,) the network's own probabilities, from the features just stored."""
        sizes = self.tables.patients["n_images"].to_numpy(np.int64)
        first = np.cumsum(sizes) - sizes
        means = np.stack([features[f : f + n].mean(0) for f, n in zip(first, sizes, strict=True)])
        with torch.no_grad():
            p = network.head.predict(*(torch.from_numpy(a).to(self.device) for a in (means, self.values)))
        return p.cpu().numpy().astype(np.float64)
