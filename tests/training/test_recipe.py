from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lymphofeat.errors import InputError
from lymphofeat.training.augment import AugmentSpec
from lymphofeat.training.recipe import (
    BatchRecipe,
    ClinicalRecipe,
    NetworkRecipe,
    OptimiserRecipe,
    Recipe,
    ScheduleRecipe,
    TrainingRecipe,
    mistakes_of,
)
from lymphofeat.training.recipe_file import (
    change_recipe,
    find_recipe,
    list_recipes,
    read_recipe,
    recipe_from_dict,
    recipe_names,
)

PUBLISHED = {
    "pooled", "pooled+clinical", "scratch", "moe", "pooled-resnet34", "pooled-resnet50", "pooled-small-cnn", "dice",
    "exponential", "layers", "scratch-images", "half",
}  # fmt: skip


def test_every_system_of_the_table_is_a_recipe() -> None:
    assert recipe_names() == ["default", *sorted({*PUBLISHED, "adapt"})]
    assert [name for name in recipe_names() if find_recipe(name).label_free] == ["adapt"]


@pytest.mark.parametrize("name", recipe_names())
def test_a_packaged_recipe_is_sound_and_survives_writing_down(name: str) -> None:
    recipe = find_recipe(name)
    assert mistakes_of(recipe) == []
    assert recipe.name == name
    assert recipe.title
    assert recipe_from_dict(recipe.to_dict(), "here") == replace(recipe, title="")


def test_the_published_settings_are_the_published_ones() -> None:
    pooled = find_recipe("pooled")
    assert (pooled.network.backbone, pooled.network.start, pooled.network.hidden) == (
        "resnet18",
        "weights",
        (),
    )
    assert (pooled.batches.patients, pooled.batches.images_per_patient) == (16, 0)
    assert (pooled.optimiser.lr, pooled.schedule.kind, pooled.loss.kind) == (1e-4, "constant", "bce")
    assert (pooled.training.crop, pooled.training.train_from, pooled.clinical.use) == (112, "all", "none")
    both = find_recipe("pooled+clinical")
    assert both.clinical == replace(
        ClinicalRecipe(), use="branch", values=("birth_month", "birth_year", "age", "count"), hidden=(2,)
    )
    assert replace(both, name="pooled", title=pooled.title, clinical=pooled.clinical) == pooled
    scratch = find_recipe("scratch")
    assert (scratch.network.start, scratch.batches.patients, scratch.optimiser.lr) == ("random", 1, 1e-5)
    assert (scratch.schedule.kind, scratch.schedule.every, scratch.schedule.factor) == ("step", 10, 0.1)
    assert (scratch.clinical.use, scratch.clinical.hidden) == ("apart", (150, 200))
    moe = find_recipe("moe")
    assert (moe.clinical.use, moe.clinical.values, moe.clinical.hidden) == ("gate", ("age", "count"), (2,))


def test_names_tell_recipes_apart() -> None:
    assert len({recipe.digest() for recipe in list_recipes()}) == len(recipe_names())


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no recipe 'poled' \(did you mean 'pooled'\?\)"):
        find_recipe("poled")


BAD = """
base = "pooled"
[netwrok]
[network]
backbon = "resnet18"
backbone = "resnet19"
dropout = "much"
hidden = [1, "b"]
[augment]
shift = -1
[optimiser]
lr = 0
[batches]
patients = true
[training]
epochs = 2
[schedule]
warm_up = 3
"""


def test_all_mistakes_of_a_file_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(BAD)
    with pytest.raises(InputError) as caught:
        read_recipe(path)
    message = str(caught.value)
    assert message.startswith(f"{path} cannot be used:")
    for part in (
        "netwrok is not a section (did you mean 'network'?)",
        "[network] backbon is not a setting (did you mean 'backbone'?)",
        "[network] backbone 'resnet19' is not known",
        "[network] dropout is 'much'; it must be a number",
        "[network] hidden is [1, 'b']; it must be a list of whole numbers",
        "[augment] shift is -1",
        "[optimiser] lr is 0.0; it must be above 0",
        "[batches] patients is True; it must be a whole number",
        "[schedule] warm_up is 3; it must end before the 2 epochs",
    ):
        assert part in message
    assert len(message.splitlines()) == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[network", "is not a TOML file"),
        ('base = "poled"', r"base is 'poled' \(did you mean 'pooled'\?\)"),
        ("title = 3", "title is 3; it must be a text"),
        ("network = 3", "network must be a section"),
        ('[clinical]\nuse = "gate"\n[loss]\nkind = "dice"', "mixture has its own likelihood"),
        ('[clinical]\nuse = "gate"\n[network]\nhidden = [4]', "hidden must be empty"),
        ('[clinical]\nuse = "branch"\nvalues = []', "values is empty"),
        ("[training]\nfolds = 1", "folds is 1"),
        ('[network]\nstart = "random"\n[training]\ntrain_from = "layer4"', "train_from must be all"),
        ('[network]\nbackbone = "small-cnn"\n[training]\ntrain_from = "fc"', "needs a resnet"),
    ],
)
def test_a_bad_file_gets_a_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_recipe(path)


def test_an_absent_or_binary_file_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        find_recipe(str(tmp_path / "absent.toml"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        find_recipe(str(tmp_path / "binary.toml"))


def test_a_file_may_change_a_packaged_recipe(tmp_path: Path) -> None:
    path = tmp_path / "quick.toml"
    path.write_text('base = "pooled"\n[training]\nepochs = 3\n[augment]\ngrey = true\n')
    recipe = find_recipe(str(path))
    pooled = find_recipe("pooled")
    assert recipe.name == "quick"
    assert recipe.training == replace(pooled.training, epochs=3)
    assert recipe.augment == replace(pooled.augment, grey=True)
    assert recipe.optimiser == pooled.optimiser


def test_a_change_that_contradicts_the_rest_is_refused() -> None:
    with pytest.raises(InputError, match="these options cannot be used"):
        change_recipe(find_recipe("scratch"), {"training": {"train_from": "layer4"}}, "these options")


widths = st.lists(st.integers(1, 500), max_size=3).map(tuple)
recipes = st.builds(
    Recipe,
    name=st.just("drawn"),
    title=st.text(max_size=20),
    network=st.builds(
        NetworkRecipe,
        hidden=widths,
        dropout=st.floats(0, 0.9),
        batch_norm=st.sampled_from(["train", "frozen"]),
    ),
    clinical=st.builds(ClinicalRecipe, use=st.sampled_from(["none", "branch", "apart"]), hidden=widths),
    batches=st.builds(BatchRecipe, patients=st.integers(1, 64), images=st.integers(2, 512)),
    optimiser=st.builds(OptimiserRecipe, lr=st.floats(1e-8, 1), layer_decay=st.floats(0.01, 1)),
    schedule=st.builds(ScheduleRecipe, every=st.integers(1, 50)),
    augment=st.builds(AugmentSpec, flip=st.booleans(), hue=st.floats(0, 0.5), shift=st.integers(0, 9)),
    training=st.builds(TrainingRecipe, epochs=st.integers(1, 99), inner_folds=st.integers(2, 9)),
)


@given(recipes)
def test_any_recipe_survives_writing_down(recipe: Recipe) -> None:
    assert mistakes_of(recipe) == []
    again = recipe_from_dict(recipe.to_dict(), "here")
    assert again == replace(recipe, title="")
    assert again.digest() == recipe.digest()
