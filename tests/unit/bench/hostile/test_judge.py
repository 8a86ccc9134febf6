from bench.hostile.attack import Attack
from bench.hostile.judge import faults
from bench.hostile.measure import Memory, Result
from bench.hostile.table import attacks_markdown, attacks_table, costs_table, malformed_table

ATTACK = Attack("a", "flood", lambda _target, _seconds: "", memory_mib=64, must_find="lives")


def result(server="homing", slowest=100.0, failures=None, highest=60.0, found="it lives", serves=True) -> Result:
    seen = {"calls": 9, "p99_ms": 1.0, "max_ms": slowest, "failures": failures or {}}
    return Result("a", "flood", server, found, seen, seen, Memory(50.0, highest, 50.0), serves)


def test_an_attack_that_is_withstood():
    assert faults(ATTACK, result(), result("grpcio")) == []
    assert faults(ATTACK, result(), None) == []


def test_a_stall_is_judged_beside_the_comparator():
    assert faults(ATTACK, result(slowest=700.0), result("grpcio", slowest=300.0)) == []
    assert faults(ATTACK, result(slowest=700.0), result("grpcio")) == [
        "health took 700 ms, 450 are allowed",
        "push took 700 ms, 450 are allowed",
    ]


def test_each_other_fault():
    assert faults(ATTACK, result(serves=False), None) == ["no longer serves"]
    assert faults(ATTACK, result(highest=150.0), None) == ["memory grew by 100 MiB, 64 are allowed"]
    assert faults(ATTACK, result(found="gone"), None) == ["not found: lives"]
    assert faults(ATTACK, result(found="lives, a frame of 20,000 bytes"), None) != []
    failed = result(failures={"UNAVAILABLE": 2})
    assert len(faults(ATTACK, failed, result("grpcio"))) == 2
    assert faults(ATTACK, failed, result("grpcio", failures={"UNAVAILABLE": 1})) == []


def test_the_table_has_a_row_for_each_server_and_each_fault():
    failed = result(serves=False, failures={"UNAVAILABLE": 2})
    head, ours, fault, theirs = attacks_table([failed, result("grpcio")], {"a": ["why"]}).splitlines()
    assert head.split()[:2] == ["ATTACK", "SERVER"]
    assert "homing" in ours
    assert "(2 failed)" in ours
    assert "NO LONGER SERVES" in ours
    assert fault.strip() == "FAILED: why"
    assert "grpcio" in theirs


def test_a_wrong_answer_is_marked():
    table = malformed_table({"homing": {"CR in a value": "grpc-status 0", "no :path": "RST PROTOCOL_ERROR"}})
    rows = {line.partition("  ")[0]: line for line in table.splitlines()}
    assert "grpc-status 0  X" in rows["CR in a value"]
    assert "X" not in rows["no :path"]


def test_costs_stand_side_by_side():
    assert costs_table({"homing": {"health": 1.2}, "grpcio": {"health": 3.6}}).splitlines()[1].split() == [
        "health",
        "1",
        "4",
    ]


def test_the_markdown_has_a_row_for_each_attack():
    table = attacks_markdown([result(), result("grpcio"), result("homing")._replace(attack="b")], {"a": ["why"]})
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert {len(row) for row in rows} == {8}
    assert rows[2] == ["a", "100, 100", "50, 60", "it lives", "100, 100", "50, 60", "it lives", "why"]
    assert (rows[3][0], rows[3][4:]) == ("b", ["", "", "", "yes"])
