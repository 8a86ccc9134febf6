from bench.hostile.h2spec_report import Case, comparison, failures, load_expected, read_junit, table

REPORT = """<testsuites><testsuite name="6.9. WINDOW_UPDATE" package="http2/6.9" tests="4">
<testcase classname="good"></testcase>
<testcase classname="bad"><error>GOAWAY
Timeout</error></testcase>
<testcase classname="odd"><failure>x</failure></testcase>
<testcase classname="left out"><skipped></skipped></testcase>
</testsuite></testsuites>"""
CASES = read_junit(REPORT)
EXPECTED = load_expected('[[group]]\nreason = "why"\ncases = ["http2/6.9: bad", "http2/6.9: odd"]')


def test_cases_are_read():
    assert [(case.id, case.result) for case in CASES] == [
        ("http2/6.9: good", "passed"),
        ("http2/6.9: bad", "failed"),
        ("http2/6.9: odd", "failed"),
        ("http2/6.9: left out", "skipped"),
    ]
    assert CASES[1] == Case("http2/6.9 WINDOW_UPDATE", "bad", "failed", "GOAWAY; Timeout")


def test_the_table_has_sums():
    assert [line.split() for line in table(CASES).splitlines()[1:]] == [
        ["http2/6.9", "WINDOW_UPDATE", "1", "2", "1"],
        ["all", "4", "cases", "1", "2", "1"],
    ]


def test_each_failure_has_its_reason():
    named = ["failed   http2/6.9: bad", "         GOAWAY; Timeout"]
    assert failures(CASES[1:2], EXPECTED) == [*named, "         listed: why"]
    assert failures(CASES[1:2], {}) == named
    assert failures(CASES[3:], {}) == ["skipped  http2/6.9: left out"]


def test_what_is_expected_is_no_fault():
    assert comparison(CASES, EXPECTED) == []


def test_every_contradiction_is_named():
    expected = load_expected(
        '[[group]]\nreason = "why"\ncases = ["http2/6.9: good", "http2/6.9: odd", "http2/7: gone"]'
    )
    assert comparison(CASES, expected) == [
        "NOT EXPECTED TO FAIL  http2/6.9: bad",
        "PASSES, BUT IS LISTED  http2/6.9: good",
        "LISTED, BUT IS NO CASE  http2/7: gone",
    ]


def test_a_racy_case_may_do_either():
    expected = load_expected('[[group]]\nreason = "why"\nracy = true\ncases = ["http2/6.9: good", "http2/6.9: bad"]')
    assert comparison(CASES[:2], expected) == []


def test_the_committed_list_is_well_formed():
    assert all(name.partition(": ")[1] and failure.reason for name, failure in load_expected().items())
