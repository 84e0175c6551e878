"""What `check` says of records that may be one person: who was joined, and who could not be judged."""

from collections import defaultdict

from .layout import LAYOUT_FILE
from .model import Cohort, Patient
from .persons import persons, placeholder_dates
from .problems import Problems, counted, listing

__all__ = ["report_persons"]

_MANY = 5  # records of one person from which on the date itself is in doubt


def report_persons(cohort: Cohort, problems: Problems) -> None:
    """Report records that were joined on thin grounds, joined across parts or labels, or could not be joined.

    See `lymphofeat.cohort.persons` for the rule. Records of one person in both parts cannot be kept together.
    """
    table = cohort.table()
    _report_unknown(cohort, problems)
    for birth, n in placeholder_dates(table).items():
        problems.warning(
            "placeholder-date",
            cohort.root,
            None,
            f"{n} records have the date of birth {birth}, which looks like a placeholder for an unknown date; "
            "they do not count as one person, repeated persons among them go unnoticed, and their ages are wrong",
            "leave unknown dates empty",
        )
    groups: dict[int, list[Patient]] = defaultdict(list)
    for patient, number in zip(cohort.patients, persons(table).tolist(), strict=True):
        groups[number].append(patient)
    for members in groups.values():
        if len(members) > 1 and not all(p.person for p in members):
            _report_joined(members, cohort, problems)
            _report_doubts(members, cohort, problems)
        elif len(members) > 1:
            _report_named(members, cohort, problems)


def _report_named(members: list[Patient], cohort: Cohort, problems: Problems) -> None:
    """Records that a column says are one person's: what cannot be kept together, and what does not agree."""
    who, name = listing([p.id for p in members]), members[0].person
    doubts = [
        ("person-in-both-parts", "are in both parts", len({p.split for p in members}) > 1),
        (
            "person-with-both-labels",
            "have different labels",
            len({p.label for p in members if p.label >= 0}) > 1,
        ),
        (
            "person-with-two-births",
            "have different dates of birth",
            len({p.birth for p in members if p.birth}) > 1,
        ),
        ("person-with-both-sexes", "have different sexes", len({p.sex for p in members if p.sex}) > 1),
    ]
    for code, what, doubtful in doubts:
        if doubtful:
            message = f"{who} are records of one person ({name}) but {what}"
            problems.warning(code, cohort.root, None, message, "check whether this is meant")


def _report_unknown(cohort: Cohort, problems: Problems) -> None:
    unknown = [p.id for p in cohort.patients if p.birth is None and not p.person]
    if not unknown:
        return
    n, verb = len(cohort.patients), "has" if len(unknown) == 1 else "have"
    who = (
        f"none of the {n} patients has a date of birth"
        if len(unknown) == n
        else f"{len(unknown)} of {n} patients {verb} no date of birth ({listing(unknown)})"
    )
    problems.warning(
        "no-birth",
        cohort.root,
        None,
        f"{who}, so several records of one person would go unnoticed and could be split between training and test",
        "add the dates, make sure that each of these persons appears once, or name them in a column "
        f"(`person` under [columns] in {LAYOUT_FILE})",
    )


def _report_joined(members: list[Patient], cohort: Cohort, problems: Problems) -> None:
    """Joined though a sex is missing, or so many that the date may be a placeholder."""
    birth, ids = members[0].birth, listing([p.id for p in members])
    unknown = [p.id for p in members if not p.sex]
    if unknown:
        problems.warning(
            "person-without-sex",
            cohort.root,
            None,
            f"{ids} were born on {birth}, and the sex of {listing(unknown)} is missing, so they may be one person "
            "and share a fold",
            "give the sex",
        )
    elif len(members) >= _MANY:
        problems.warning(
            "person-with-many-records",
            cohort.root,
            None,
            f"{counted(len(members), 'record')} ({ids}) count as one person (born {birth}, sex {members[0].sex}) and "
            "share a fold",
            "leave the date empty if it is a placeholder for an unknown one",
        )


def _report_doubts(members: list[Patient], cohort: Cohort, problems: Problems) -> None:
    """Records that may be one person, of both parts or of both labels: of each sex, with those of unknown sex."""
    told = set()
    for sex in sorted({p.sex for p in members if p.sex}) or [""]:
        one = [p for p in members if p.sex in (sex, "")]
        doubts = []
        if len({p.split for p in one}) > 1:
            doubts.append(("person-in-both-parts", "and are in both parts"))
        if len({p.label for p in one if p.label >= 0}) > 1:
            doubts.append(("person-with-both-labels", "but have different labels"))
        who = " and ".join(p.id for p in one)
        written = (
            f"sex {sex}" + (" or missing" if any(not p.sex for p in one) else "") if sex else "sex missing"
        )
        for code, doubt in doubts:
            if (code, who) not in told:
                told.add((code, who))
                message = f"{who} may be one person (born {one[0].birth}, {written}) {doubt}"
                problems.warning(code, cohort.root, None, message, "check whether they are")
