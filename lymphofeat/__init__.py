"""Patient-level diagnosis from bags of blood-cell images and a few clinical values.

The public functions are the names in `__all__`; each is loaded when it is first asked for, so that `import lymphofeat`
costs nothing. docs/python.md shows them at work, docs/api.md describes each. Everything else is private and may change.
"""

from typing import TYPE_CHECKING

from .lazy import loaded_when_asked_for

__version__ = "0.1.0"

if TYPE_CHECKING:  # what `_HOMES` says, for type checkers and editors
    from .assess.evaluate import evaluate as evaluate
    from .bundle.export import export as export
    from .bundle.load import load_bundle as load_bundle
    from .cache.bags import Bags as Bags
    from .cache.imported import save_cache as save_cache
    from .cache.passes import adapt as adapt
    from .cache.passes import extract as extract
    from .cache.passes import finetune as finetune
    from .cache.reader import open_cache as open_cache
    from .cohort.declared import ClinicalColumn as ClinicalColumn
    from .cohort.read import read_cohort as read_cohort
    from .comparison.compare import compare as compare
    from .explanation.patient import explain as explain
    from .final.submit import submit as submit
    from .heads.base import Head as Head
    from .imports.importing import import_features as import_features
    from .page.report import write_report as write_report
    from .scoring.classifier import HeadClassifier as HeadClassifier
    from .studies.load import load_study as load_study
    from .studies.study import tune as tune
    from .verification.verify import verify as verify

# Where each public name lives, in the order of the work.
_HOMES = {
    "read_cohort": ".cohort.read",
    "extract": ".cache.passes",
    "finetune": ".cache.passes",
    "adapt": ".cache.passes",
    "open_cache": ".cache.reader",
    "save_cache": ".cache.imported",
    "import_features": ".imports.importing",
    "tune": ".studies.study",
    "load_study": ".studies.load",
    "evaluate": ".assess.evaluate",
    "explain": ".explanation.patient",
    "export": ".bundle.export",
    "load_bundle": ".bundle.load",
    "submit": ".final.submit",
    "compare": ".comparison.compare",
    "verify": ".verification.verify",
    "write_report": ".page.report",
    "Bags": ".cache.bags",
    "ClinicalColumn": ".cohort.declared",
    "Head": ".heads.base",
    "HeadClassifier": ".scoring.classifier",
}

__all__ = [
    "Bags",
    "ClinicalColumn",
    "Head",
    "HeadClassifier",
    "adapt",
    "compare",
    "evaluate",
    "explain",
    "export",
    "extract",
    "finetune",
    "import_features",
    "load_bundle",
    "load_study",
    "open_cache",
    "read_cohort",
    "save_cache",
    "submit",
    "tune",
    "verify",
    "write_report",
]


__getattr__ = loaded_when_asked_for(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
