"""Names of columns and words of values, as laboratories of several languages write them."""

import re
import unicodedata
from collections.abc import Collection

__all__ = ["LABELS", "NO", "ROLES", "SEXES", "YES", "has_name", "simple"]

# Roles of columns, as [columns] calls them, by simplified names. What is wanted first stands first.
ROLES: dict[str, tuple[str, ...]] = {
    "label": ("label", "diagnose", "diagnosis", "diagnostic", "dx", "class", "klasse", "classe", "gruppe", "group",
              "groupe", "entity", "entitaet", "befund", "resultat", "diagnosi", "diagnostico"),
    "sex": ("gender", "sex", "geschlecht", "sexe", "genre", "sesso", "sexo"),
    "birth": ("dob", "dateofbirth", "birthdate", "birthday", "birth", "geburtsdatum", "gebdatum", "gebdat",
              "geburtstag", "geburt", "geb", "datedenaissance", "datenaissance", "naissance", "ddn", "yearofbirth",
              "birthyear", "geburtsjahr", "jahrgang", "anneedenaissance",
              "fechadenacimiento", "datadinascita"),
    "count": ("lymphcount", "lymphocytecount", "lymphocytes", "lymphocyte", "lymphozyten", "lymphozytenzahl",
              "lymphs", "lymph", "lym", "alc", "lymphocytesabs", "lymphozytenabs", "linfocitos", "linfociti"),
    "age": ("age", "alter", "ageyears", "alterjahre", "agean", "ageans", "edad", "eta"),
    "examined": ("examined", "examinationdate", "dateofexamination", "untersuchungsdatum", "untersuchung",
                 "entnahmedatum", "abnahmedatum", "entnahme", "abnahme", "datedexamen", "dateexamen",
                 "dateprelevement", "datedeprelevement", "prelevement", "sampledate", "samplingdate", "collectiondate",
                 "befunddatum", "datum", "date"),
    "person": ("person", "personid", "patientid", "patientenid", "patient", "patientennr", "patientnr", "patientno",
               "patientennummer", "pid", "pat", "patid", "patnr", "ipp", "nip", "mrn", "nopatient", "numeropatient"),
    "id": ("id", "caseid", "case", "fall", "fallnr", "fallnummer", "fallid", "sampleid", "sample", "probe",
           "probennummer", "probennr", "visit", "visite", "besuch", "auftrag", "auftragsnr", "code", "identifiant",
           "nr", "numero", "dossier", "patientid", "patientenid", "patient", "patientennr", "patientnr", "pid", "pat"),
}  # fmt: skip

# The words of a diagnosis, by what begins with them once simplified.
LABELS: dict[str, tuple[str, ...]] = {
    "malignant": ("malign", "cll", "bcll", "sll", "mcl", "mzl", "smzl", "fl", "hcl", "pll", "tpll", "lgl", "sezary",
                  "lymphom", "leukaem", "leukem", "leucem", "neoplas", "tumor", "tumeur", "llc", "lymphoprolif"),
    "reactive": ("reactiv", "reaktiv", "reaction", "benign", "gutartig", "benin", "viral", "ebv", "cmv", "mononucle",
                 "mononukle", "infect", "infekt"),
    "unknown": ("pending", "ausstehend", "offen", "open", "enattente", "attente", "encours", "inarbeit", "unklar",
                "unclear", "unknown", "unbekannt", "inconnu", "indetermin", "tbd", "todo"),
}  # fmt: skip
SEXES: dict[str, tuple[str, ...]] = {
    "male": ("m", "male", "maennlich", "mann", "herr", "h", "homme", "masculin", "hombre", "maschio", "uomo"),
    "female": ("f", "female", "w", "weiblich", "frau", "femme", "feminin", "mujer", "femmina", "donna"),
    "missing": ("u", "unknown", "unbekannt", "inconnu", "x", "d", "divers", "keineangabe", "ka", "nc", "nr", "na", ""),
}  # fmt: skip
YES = frozenset(
    ("yes", "y", "1", "true", "t", "pos", "positive", "positiv", "positif", "+", "ja", "j", "oui", "o")
)
NO = frozenset(("no", "n", "0", "false", "f", "neg", "negative", "negativ", "négatif", "-", "nein", "non"))
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss"})


def simple(text: str) -> str:
    """Small letters and digits only, without what stands in brackets: `Patienten-Nr. (neu)` is `patientennr`."""
    bare = re.sub(r"[(\[].*?[)\]]", "", text).casefold().translate(_UMLAUTS)
    return re.sub(r"[^a-z0-9]", "", unicodedata.normalize("NFKD", bare))


def has_name(column: str, names: Collection[str]) -> bool:
    """Whether a column is called so: by one of the names, or by one with a unit or the like behind."""
    short = simple(column)
    return short in names or any(len(name) >= 4 and short.startswith(name) for name in names)
