"""Colour on batches against torchvision's functions and against the formulas, one pixel at a time."""

import colorsys
import math

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from lymphofeat.encoder import colour
from lymphofeat.encoder.colour import colour_matrices, grey, jitter_colour, jitter_stain, normalise_stain

N, P = 4, 30
ONE, ZERO = torch.ones(N), torch.zeros(N)


def batch(low: float = 0.25, high: float = 0.6) -> torch.Tensor:
    """(N, 3, P); by default so far from black and white that no step clips."""
    return low + (high - low) * torch.rand(N, 3, P, generator=torch.Generator().manual_seed(0))


def tv(function, x: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    return torch.stack(
        [function(i.view(3, 5, 6), float(f)).view(3, P) for i, f in zip(x, factors, strict=True)]
    )


FACTORS = torch.tensor([0.8, 0.95, 1.0, 1.2])
STEPS = {
    "brightness": v2.functional.adjust_brightness,
    "contrast": v2.functional.adjust_contrast,
    "saturation": v2.functional.adjust_saturation,
}


@pytest.mark.parametrize("name", STEPS)
def test_each_step_is_torchvisions(name: str) -> None:
    x = batch()
    given = {step: FACTORS if step == name else ONE for step in STEPS}
    found = jitter_colour(x, *colour_matrices(**given, hue=ZERO))
    torch.testing.assert_close(
        found, tv(STEPS[name], x, FACTORS), atol=2e-4, rtol=0
    )  # its luma has 0.2989 for 0.299


def test_the_steps_together_are_torchvisions_one_after_the_other() -> None:
    x, shuffled = batch(), {"brightness": FACTORS, "contrast": FACTORS.flip(0), "saturation": FACTORS.roll(1)}
    expected = x
    for name, function in STEPS.items():
        expected = tv(function, expected, shuffled[name])
    found = jitter_colour(x, *colour_matrices(**shuffled, hue=ZERO))
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


def test_clipping_is_at_the_end() -> None:
    found = jitter_colour(batch(0, 1), *colour_matrices(2 * ONE, ONE, ONE, ZERO))
    torch.testing.assert_close(found, (2 * batch(0, 1)).clamp(0, 1))


def test_hue_turns_like_the_circle_of_hues_and_keeps_luma() -> None:
    x = batch()
    for turns in (-0.1, -0.03, 0.05, 0.1):
        found = jitter_colour(x, *colour_matrices(ONE, ONE, ONE, turns * ONE))
        torch.testing.assert_close(grey(found), grey(x), atol=2e-3, rtol=0)
        for before, after in zip(x[0].T.tolist(), found[0].T.tolist(), strict=True):
            if max(before) - min(before) > 0.1:  # of a nearly grey pixel the hue means little
                turned = (colorsys.rgb_to_hsv(*after)[0] - colorsys.rgb_to_hsv(*before)[0] + 0.5) % 1 - 0.5
                assert turned == pytest.approx(
                    turns, abs=0.05
                )  # YIQ is not HSV: near, and the right way round


def test_a_whole_turn_of_hue_changes_nothing() -> None:
    torch.testing.assert_close(
        jitter_colour(batch(), *colour_matrices(ONE, ONE, ONE, ONE)), batch(), atol=1e-5, rtol=0
    )


def naive_stain_jitter(pixel: np.ndarray, alpha: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Tellez et al. 2018 with the matrix of Ruifrok and Johnston 2001, for one pixel in [0, 1]."""
    stains = np.array([[0.65, 0.70, 0.29], [0.07, 0.99, 0.11], [0.27, 0.57, 0.78]])
    stains /= np.sqrt((stains**2).sum(axis=1, keepdims=True))
    density = -np.log10(np.maximum(pixel, 1 / 255))
    amounts = density @ np.linalg.inv(stains)
    return np.clip(10.0 ** -((amounts * alpha + beta) @ stains), 0, 1)


def test_stain_jitter_is_the_formula() -> None:
    x, rng = batch(0, 1), np.random.default_rng(0)
    alpha, beta = rng.uniform(0.8, 1.2, (N, 3)), rng.uniform(-0.2, 0.2, (N, 3))
    found = jitter_stain(x, torch.tensor(alpha).float(), torch.tensor(beta).float())
    for i in range(N):
        for p in range(P):
            expected = naive_stain_jitter(x[i, :, p].double().numpy(), alpha[i], beta[i])
            np.testing.assert_allclose(found[i, :, p], expected, atol=1e-5)


def test_no_stain_jitter_changes_nothing() -> None:
    torch.testing.assert_close(
        jitter_stain(batch(), torch.ones(N, 3), torch.zeros(N, 3)), batch(), atol=1e-5, rtol=0
    )


def test_normalised_images_share_mean_and_deviation_of_density() -> None:
    x = batch(0.2, 0.9) * torch.tensor([0.6, 0.8, 0.9, 1.0]).view(N, 1, 1)
    density = -normalise_stain(x).log10()
    # clipping at white moves both a little
    torch.testing.assert_close(
        density.mean(2), torch.tensor(colour.TARGET_MEAN).expand(N, 3), atol=0.02, rtol=0
    )
    torch.testing.assert_close(
        density.std(2, correction=0), torch.tensor(colour.TARGET_STD).expand(N, 3), atol=0.02, rtol=0
    )


def test_normalisation_undoes_another_stain_and_light() -> None:
    """x^γ·l per channel is a stronger stain under other light: the normalised image is the same."""
    x, strength, light = (
        batch(),
        torch.tensor([0.7, 0.9, 1.1]).view(3, 1),
        torch.tensor([0.9, 0.8, 0.95]).view(3, 1),
    )
    torch.testing.assert_close(normalise_stain(x**strength * light), normalise_stain(x), atol=1e-4, rtol=0)


def test_a_uniform_image_is_not_blown_up() -> None:
    x = torch.full((1, 3, P), 0.5)
    x[:, :, 0] += 1e-4
    found = normalise_stain(x)
    assert torch.isfinite(found).all()
    assert float((found.amax(dim=2) - found.amin(dim=2)).max()) < 0.01


def test_grey_has_no_colour() -> None:
    x = batch()
    found = grey(x)
    torch.testing.assert_close(found[:, 0], found[:, 2])
    torch.testing.assert_close(found[:, 0], 0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2])


def test_colour_matrices_of_no_change_are_the_identity() -> None:
    pixels, mean = colour_matrices(ONE, ONE, ONE, ZERO)
    torch.testing.assert_close(pixels, torch.eye(3).expand(N, 3, 3), atol=1e-5, rtol=0)
    assert float(mean.abs().max()) < math.ulp(1.0) * 10
