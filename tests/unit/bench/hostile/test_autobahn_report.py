"""What the suite of Autobahn reports, and what of it fails a run."""

from bench.hostile.autobahn_report import SuiteCase, contradictions, load_expected, read_report, table

GOOD, LATE = {"behavior": "OK", "behaviorClose": "OK"}, {"behavior": "OK", "behaviorClose": "FAILED"}


def test_cases_are_read_in_their_order() -> None:
    cases = read_report({"agent": {"12.1.10": GOOD, "12.1.9": LATE, "2.1": {**GOOD, "behavior": "NON-STRICT"}}})
    assert [(case.id, case.section, case.verdict) for case in cases] == [
        ("2.1", 2, "NON-STRICT"),
        ("12.1.9", 12, "failed"),
        ("12.1.10", 12, "OK"),
    ]


def test_an_extension_that_was_declined_is_a_failure() -> None:
    assert SuiteCase("13.1.1", "UNIMPLEMENTED", "OK").verdict == "failed"


def test_what_contradicts_the_expectation() -> None:
    expected = load_expected('[[group]]\nreason = "why"\ncases = ["1.1", "1.2"]')
    cases = [SuiteCase("1.1", "OK", "OK"), SuiteCase("1.2", "ERROR", "OK"), SuiteCase("1.3", "FAILED", "OK")]
    assert contradictions(cases, expected) == [
        "PASSES, BUT IS LISTED  1.1",
        "NOT EXPECTED TO FAIL  1.3: FAILED, close OK",
    ]


def test_the_table_sums_by_section() -> None:
    cases = [SuiteCase("1.1", "OK", "OK"), SuiteCase("1.2", "OK", "OK"), SuiteCase("11.1", "FAILED", "OK")]
    assert table(cases)[2:] == [
        "| 1 | framing | 2 | 0 | 0 | 0 |",
        "| 11 |  | 0 | 0 | 0 | 1 |",
        "| all 3 | | 2 | 0 | 0 | 1 |",
    ]


def test_every_committed_failure_has_a_reason() -> None:
    assert all(load_expected().values())
