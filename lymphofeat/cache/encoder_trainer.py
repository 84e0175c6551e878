"""Trains and encodes an encoder family: the stages that each encoder goes through, its files and threads.

Per encoder: train (a checkpoint after every epoch), keep the trained network beside the cache, encode all images, put
the encoding into the cache. Each stage ends in a file that is whole or absent, so that the same command goes on from
the last one, and ends with the same features as an unbroken run.
"""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..cohort.model import Cohort
from ..encoder.identity import difference, identity_key
from ..encoder.weights import LoadedWeights
from ..errors import StaleCacheError
from ..parallel import disable_malloc_trim
from ..progress import Progress
from ..training.activations import open_activations, split_network
from ..training.epochs import LearningBags, prepare_network
from ..training.networks import PatientNetwork
from ..training.pixel_store import PixelStore, open_pixels
from ..training.side_by_side import Job, train_all, worker_layout
from ..training.sources import ActivationSource, PixelSource, Source
from ..training.trained import load_trained, trained_about
from .arithmetic import AUTO, float32_instead, lacks_bfloat16
from .carry import network_of
from .elsewhere import Elsewhere
from .encoder_family import EncoderFamily
from .encoder_plans import TrainedPlan
from .encoding import Encoding
from .extract import ExtractSettings
from .family_dtype import family_dtype
from .filling import fill
from .member_training import MemberTask, train_member
from .members import Member
from .shares import TRAINING
from .spec import EVERY_FOLD
from .training_elsewhere import train_elsewhere
from .training_estimate import training_estimate
from .trainings import encoders_folder
from .writer import CacheWriter

__all__ = ["EncoderTrainer", "encode_encoder_family"]


def encode_encoder_family(
    writer: CacheWriter,
    cohort: Cohort,
    family_of: Callable[[ExtractSettings], EncoderFamily],
    settings: ExtractSettings,
    *,
    nested: bool = False,
    default: bool = True,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: Progress,
) -> tuple[EncoderFamily, list[Member], int]:
    """Train and encode those encoders of a family that the cache does not hold.

    Args:
        writer: of the cache, entered.
        cohort: its images.
        family_of: the encoder family by its settings, whose dtype may have to be another one than was asked for.
        settings: that were asked for.
        nested: also the encoders that are blind to two folds.
        default: see `CacheWriter.finish`.
        workers: threads that decode and encode, by default one per core.
        executor: its workers train and encode instead; see `lymphofeat.cache.elsewhere`.
        progress: is told of images, and in words of each epoch.

    Returns:
        The encoder family, its encoders (of a task, its share of them), and how many of them the cache held before.
    """

    def waiting() -> list[Member]:
        return [m for m in writer.mine(encoders.members(nested=nested)) if not writer.holds(encoders.spec(m))]

    disable_malloc_trim()
    writer.tell(progress)
    if settings.dtype == AUTO:
        dtype = family_dtype(writer, cohort, family_of, settings, progress, nested=nested)
        settings = replace(settings, dtype=dtype)
    encoders = family_of(settings)
    to_do = waiting()
    if to_do and lacks_bfloat16(settings.dtype, encoders.device, emulate=settings.emulate_bfloat16):
        progress.note(float32_instead(encoders.name))
        encoders = family_of(replace(settings, dtype="float32"))
        to_do = waiting()
    if not to_do:
        writer.correct_values()
    trainer = EncoderTrainer(encoders, writer, cohort, workers, progress, executor)
    if writer.force or writer.retrain:
        trainer.forget(to_do)
    trainer.train(to_do)
    for member in to_do:
        trainer.encode(member, default=default)
    members = writer.mine(encoders.members(nested=nested))
    return encoders, members, len(members) - len(to_do)


class EncoderTrainer:
    """Owns what is at work while an encoder family is trained and encoded: the networks' folder, threads, pixels.

    Args:
        encoders: the encoder family.
        writer: of the cache, entered.
        cohort: its images.
        workers: threads that decode and encode, by default one per core.
        progress: is told of images, and in words of each epoch.
        executor: its workers train and encode instead.
    """

    def __init__(
        self,
        encoders: EncoderFamily,
        writer: CacheWriter,
        cohort: Cohort,
        workers: int | None,
        progress: Progress,
        executor: Executor | None = None,
    ) -> None:
        self.encoders, self.writer, self.cohort = encoders, writer, cohort
        self.workers, self.progress, self.executor = workers, progress, executor
        self.folder = encoders_folder(writer.path)
        self._pixels: PixelStore | None = None  # once something was trained in this run

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
        facts = self.encoders
        if members:
            self.writer.hold_tasks(TRAINING)
        untrained = [m for m in members if not self._is_trained(m)]
        if not untrained:
            return
        patients = [facts.learners(m) for m in untrained]
        layout = worker_layout(facts.device, facts.n_alike)
        if facts.device.type == "cpu" and self.executor is None:
            self.progress.note(
                training_estimate(facts.start().network, facts.recipe, facts.dtype, patients, layout)
            )
        self.folder.mkdir(parents=True, exist_ok=True)
        self.writer.remove_leftovers_of(self.folder)
        source = self._source(facts.start())
        tasks = [
            self._task(member, learners, source) for member, learners in zip(untrained, patients, strict=True)
        ]
        if self.executor is not None:
            for task in tasks:
                self.writer.forget(task.name)
            train_elsewhere(tasks, self.executor, layout.threads, self.progress)
            self.writer.remove_leftovers_of(self.folder)  # of workers that were killed
            return
        epochs = facts.recipe.training.epochs
        jobs = [Job(task.name, task.images, epochs, partial(self._train, task)) for task in tasks]
        train_all(jobs, layout, self.progress)

    def encode(self, member: Member, *, default: bool = True) -> None:
        """Encode all images with the member's trained network, and put the encoding into the cache."""
        facts = self.encoders
        trained = load_trained(self.encoder_path(member))
        about = trained.about
        growing = self.writer.begin(facts.spec(member), network=about["trained_digest"])
        plan = TrainedPlan(
            self.encoder_path(member).absolute(), about["trained_digest"], facts.backbone.name,
            facts.augmenter.inference, facts.device.type, facts.dtype, growing.spec.block,
        )  # fmt: skip
        network = prepare_network(trained.network, facts.device)
        encoder = (
            plan.encoder(network, facts.device) if self.executor is None else Elsewhere(self.executor, plan)
        )
        began = time.perf_counter()
        fill(growing, self.cohort, encoder, self.workers, self.progress, self._pixels)
        own = (
            self._own_probabilities(network, growing.features)
            if isinstance(network, PatientNetwork)
            else None
        )
        made = {k: about[k] for k in ("history", "epoch", "learnt_from", "validated_on", "trained_digest")}
        seconds = about["seconds"] + time.perf_counter() - began
        made |= {"seconds": seconds, "encoder": self.encoder_path(member).name}
        self.writer.finish(growing, own, made=made, default=default)
        self.checkpoint_path(member).unlink(missing_ok=True)  # of a run that was killed just after training

    def _is_trained(self, member: Member) -> bool:
        path, known = self.encoder_path(member), self.writer.known(self.encoders.spec(member))
        if known is not None:  # it lacks images that came later, and goes on as the encoder that it is
            self._check_kept(path, known)
            return True
        if not path.exists():
            return False
        about, identity = trained_about(path), self.encoders.identity(member)
        if about.get("key") not in {identity_key(identity), *self.encoders.former_keys(member)}:
            before = about.get("identity")
            differing = difference(before, identity) if before else "settings, data or library versions"
            raise StaleCacheError(
                f"{path} differs from this run ({differing}); give the options of the first run, "
                "another --name to keep both, or --retrain to train it again."
            )
        return True

    def _check_kept(self, path: Path, known: Encoding) -> None:
        """Look whether the trained network of an encoding is there, to encode new images with.

        Raises:
            StaleCacheError: it is not, or it is another.
        """
        there = path.exists() and trained_about(path).get("trained_digest") == network_of(known)
        if not there:
            what = "is another than the one that made" if path.exists() else "is not there; it made"
            raise StaleCacheError(
                f"{path} {what} the features of {known.name}, which lack images of the cohort; put the trained encoder "
                "back, or give --retrain to train the encoders anew."
            )

    def _task(self, member: Member, bags: LearningBags, source: Source) -> MemberTask:
        facts = self.encoders
        identity = facts.identity(member)
        about: dict[str, Any] = {
            "name": member.name,
            "blind_to": EVERY_FOLD if member.held_out is None else sorted(member.held_out),
            "key": identity_key(identity),
            "identity": identity,
            "trained_with": facts.spec(member).provenance,
            "fingerprint": facts.tables.fingerprint,  # of the cohort when it was trained
            "weights": facts.weights_origin,
            "weights_digest": facts.weights_digest,
        }
        return MemberTask(
            member.name, facts.recipe, facts.settings, facts.weights_digest, facts.device, facts.dtype, bags, source,
            identity, facts.former_keys(member), about, self.encoder_path(member), self.checkpoint_path(member),
        )  # fmt: skip

    def _train(self, task: MemberTask, progress: Progress) -> None:
        def forget() -> None:  # features of an earlier network of that name
            self.writer.forget(task.name)

        train_member(task, progress, before_keeping=forget)

    def _source(self, start: LoadedWeights) -> Source:
        """Where batches come from, for all members alike."""
        facts = self.encoders
        self._pixels = pixels = open_pixels(
            self.cohort.images, facts.tables.digests, self.writer.folder, facts.augmenter.side,
            crop=facts.recipe.training.crop, bits=facts.depth.get("bits", 16), workers=self.workers,
            progress=self.progress,
        )  # fmt: skip
        if facts.recipe.training.train_from == "all":
            return PixelSource(pixels, facts.augmenter, facts.device)
        lower, _ = split_network(start.network, facts.recipe.training.train_from)
        store = open_activations(
            lower, start.digest, pixels, facts.augmenter, facts.recipe.training.variants, self.writer.folder,
            seed=facts.seed, device=facts.device, workers=self.workers, progress=self.progress,
        )  # fmt: skip
        return ActivationSource(store, facts.device, facts.dtype)

    def _own_probabilities(
        self, network: PatientNetwork, features: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """(n_patients,) the network's own probabilities, from the features just stored."""
        facts = self.encoders
        sizes = facts.tables.patients["n_images"].to_numpy(np.int64)
        means = np.stack(
            [features[f : f + n].mean(0) for f, n in zip(facts.tables.offsets, sizes, strict=True)]
        )
        with torch.no_grad():
            p = network.head.predict(*(torch.from_numpy(a).to(facts.device) for a in (means, facts.values)))
        return p.cpu().numpy().astype(np.float64)
