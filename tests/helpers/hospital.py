"""A hospital's export, made of a simulated cohort: other names, words, separators, dates and layouts of images."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from lymphofeat.synthetic.cohort import SimulationSettings, simulate_cohort

__all__ = ["GERMAN", "Arrangement", "Export", "hospital_export"]

Arrangement = Literal["flat", "folders", "table"]

GERMAN = {
    "id": "Fall-Nr.", "person": "Patient", "label": "Diagnose", "sex": "Geschlecht", "birth": "Geb.-Datum",
    "examined": "Entnahmedatum", "count": "Lymphozyten (G/l)", "hb": "Hämoglobin (g/dl)", "plt": "Thrombozyten (G/l)",
    "wbc": "Leukozyten (G/l)", "cd5": "CD5", "note": "Bemerkung", "reactive": ["reaktiv", "EBV-Infektion"],
    "malignant": ["CLL", "Mantelzell-Lymphom"], "pending": "ausstehend", "male": "männlich", "female": "weiblich",
    "unknown": "unbekannt", "yes": "pos", "no": "neg", "missing": "k.A.", "below": "<0,5",
}  # fmt: skip
FRENCH = {
    "id": "N° dossier", "person": "Patient", "label": "Diagnostic", "sex": "Sexe", "birth": "Date de naissance",
    "examined": "Date de prélèvement", "count": "Lymphocytes (G/l)", "hb": "Hémoglobine (g/dl)",
    "plt": "Plaquettes (G/l)", "wbc": "Leucocytes (G/l)", "cd5": "CD5", "note": "Remarque",
    "reactive": ["réactionnel", "infection EBV"], "malignant": ["LLC", "lymphome"], "pending": "en attente",
    "male": "homme", "female": "femme", "unknown": "inconnu", "yes": "oui", "no": "non", "missing": "nd",
    "below": "<0,5",
}  # fmt: skip


@dataclass(frozen=True)
class Export:
    """Where it is.

    Attributes:
        root: the folder with images and tables.
        new: a folder of two new patients, in the same arrangement of images.
        table: the new patients' table.
        ids: of the patients that can be used.
    """

    root: Path
    new: Path
    table: Path
    ids: list[str]


def hospital_export(folder: Path, arrangement: Arrangement, *, patients: int = 26, side: int = 128) -> Export:
    """Write the export of `patients` records, two of them new.

    flat: PNG files of one folder, semicolons and decimal commas in Windows-1252, German. folders: a folder per patient
    with one per slide, an Excel workbook, German. table: a CSV that lists files, French. In each, one person has two
    visits, two diagnoses are pending, and values are missing, unknown or below the laboratory's limit.
    """
    rng = np.random.default_rng(7)
    settings = SimulationSettings(
        patients=patients, seed=3, overlap=0.1, images_range=(4, 7), size=side, test_fraction=0.0
    )
    truth = simulate_cohort(folder / "simulated", settings)
    people = pd.read_csv(truth / "truth_patients.csv", dtype={"id": str})
    words = FRENCH if arrangement == "table" else GERMAN
    rows, pictures = [], []
    for k, row in enumerate(people.itertuples()):
        name = f"F{k + 1}"  # F1 and F10 among them
        born, seen = (
            pd.Timestamp(row.birth),
            pd.Timestamp("2023-05-01") + pd.Timedelta(days=int(rng.integers(0, 300))),
        )
        kind = words["malignant" if row.label else "reactive"]
        rows.append(
            {
                "id": name, "person": f"Pat{k + 1:03d}", "label": kind[k % 2],
                "sex": words["male" if row.sex == "M" else "female"], "birth": f"{born:%d.%m.%Y}",
                "examined": f"{seen:%d.%m.%Y}", "count": row.lymphocyte_count,
                "hb": 14 - 2 * row.label + rng.normal(), "plt": 250 - 60 * row.label + 40 * rng.normal(),
                "wbc": row.lymphocyte_count + 4 + rng.random(), "cd5": words["yes" if row.label and k % 3 else "no"],
                "note": f"Befund {k} vom Labor", "malignant": row.label,
            }
        )  # fmt: skip
        images = sorted((truth / "trainset" / row.id).iterdir())
        pictures += [(name, f"{1 + i % 2}", i, path) for i, path in enumerate(images)]
    table = pd.DataFrame(rows)
    new, known = table.iloc[[-2, -1]].copy(), table.iloc[:-2].copy()
    _make_real(known, words)
    suffix = "xlsx" if arrangement == "folders" else "csv"
    export = Export(folder / "export", folder / "new", folder / f"new.{suffix}", [])
    for root, part in ((export.root, known), (export.new, new)):
        own = [picture for picture in pictures if picture[0] in set(part["id"])]
        _write_pictures(root, own, arrangement, words)
    shutil.rmtree(truth)
    (export.root / ".DS_Store").write_bytes(b"x")
    name = "cohorte" if arrangement == "table" else "Kohorte"
    _write_table(export.root / f"{name}.{suffix}", known, words)
    _write_table(export.table, new.drop(columns="label"), words)
    usable = known.loc[known["label"] != words["pending"], "id"]
    return Export(export.root, export.new, export.table, list(usable))


def _make_real(table: pd.DataFrame, words: dict[str, object]) -> None:
    """Two visits of a person, pending diagnoses, missing and unknown values, in place."""
    table.loc[table.index[4], ["person", "birth", "sex"]] = table.loc[
        table.index[2], ["person", "birth", "sex"]
    ]
    if table["malignant"].iloc[4] != table["malignant"].iloc[2]:
        table.loc[table.index[4], ["label", "malignant"]] = table.loc[table.index[2], ["label", "malignant"]]
    table.loc[table.index[[7, 11]], "label"] = words["pending"]
    table["sex"] = table["sex"].astype(object)
    table.loc[table.index[5], "sex"] = words["unknown"]
    table["count"] = table["count"].astype(object)
    table.loc[table.index[6], "count"] = words["below"]
    table.loc[table.index[8], "count"] = words["missing"]
    table["hb"] = table["hb"].astype(object)
    table.loc[table.index[9], "hb"] = ""
    table.loc[table.index[10], "birth"] = ""


def _write_pictures(
    root: Path, pictures: list[tuple[str, str, int, Path]], arrangement: Arrangement, words: dict[str, object]
) -> None:
    listed = []
    for name, slide, number, source in pictures:
        place = {
            "flat": Path("Bilder") / f"{name}_{slide}_{number:03d}.png",
            "folders": Path("Bilder") / name / f"Ausstrich {slide}" / f"{number:03d}{source.suffix}",
            "table": Path("images") / f"{len(listed):05d}{source.suffix}",
        }[arrangement]
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        if arrangement == "flat":
            from PIL import Image

            Image.open(source).save(root / place)
        else:
            shutil.copy(source, root / place)
        listed.append({words["id"]: name, "Fichier": str(place)})
    if arrangement == "table":
        pd.DataFrame(listed).to_csv(root / "fichiers.csv", index=False, sep=";", encoding="utf-8")


def _write_table(path: Path, table: pd.DataFrame, words: dict[str, object]) -> None:
    def text(value: object) -> object:
        return f"{value:.2f}".replace(".", ",") if isinstance(value, float) else value

    shown = table.drop(columns="malignant").rename(
        columns={k: str(v) for k, v in words.items() if isinstance(v, str)}
    )
    if path.suffix == ".xlsx":
        shown.to_excel(path, index=False, sheet_name="Tabelle1")
    else:
        shown.map(text).to_csv(path, index=False, sep=";", encoding="cp1252", lineterminator="\r\n")
