"""Every way to break a cohort that the program answers with a sentence.

`BAD_INPUTS` drives the tests of `check_cohort` and of the command line alike: each entry breaks a cohort
made by `tiny_cohort(path, n=12)`, in which P0 … P8 are labelled (row 2 … 10 of the tables), P9 … P11 test.
"""

from .folders import FOLDERS
from .ids import IDS
from .images import IMAGES
from .persons import PERSONS
from .tables import TABLES
from .values import VALUES

BAD_INPUTS = [*FOLDERS, *TABLES, *VALUES, *IMAGES, *PERSONS, *IDS]
