"""What `homing bench` and `homing compare` print: each count is explained, and the model stands beside its points."""

from pathlib import Path

from bench.cluster.brokers import table as brokers_table
from bench.cluster.load.outcomes import MEANINGS, reconcile
from bench.command.compare import _json_result, _model_lines
from bench.command.figures import describe_all
from bench.compare.model import DESCRIPTION, curves
from tests.unit.bench.compare.rows import row

ROOT = Path(__file__).resolve().parents[4]
SIZE = {"clients": 1, "gateways": 1}
ROUTED = [row("routed", gateways, cpu) for gateways, cpu in ((1, 617.6), (2, 580.5), (4, 740.5), (8, 806.7))]


def test_counts_of_pushes_are_explained_once_below_the_figures_that_have_them() -> None:
    counts = {"lost": 0, "undelivered": 0, "unreported": 0, "duplicated": 0}
    lines = describe_all({"one": SIZE | counts, "two": SIZE | counts}).splitlines()
    assert lines[-4:] == [f"{name}: {meaning}" for name, meaning in MEANINGS.items()]
    assert lines.count("lost: pushes neither reported nor received") == 1
    assert describe_all({"one": SIZE | {"echoes": 5}}).splitlines()[-1] == "  echoes: 5"


def test_every_count_has_a_meaning_in_the_output_and_in_the_docs() -> None:
    assert reconcile(b"", []).keys() == MEANINGS.keys()
    page = (ROOT / "docs" / "performance.md").read_text()
    assert [name for name, meaning in MEANINGS.items() if f"| `{name}` | {meaning} |" not in page] == []


def test_the_table_of_brokers_explains_lost() -> None:
    assert "lost: messages sent and not received" in brokers_table({"rows": [], "rate": 200.0, "kafka": "measured"})


def test_the_table_has_the_measured_points_above_the_model_and_the_trend() -> None:
    lines = [" ".join(line.split()) for line in _model_lines(curves(ROUTED, 20))]
    assert lines[1].startswith("routed, redis, unicast: flat within noise, slope 31 +- 41 us a gateway; ")
    assert lines[2:5] == [
        "gateways 1 2 4 8 1,000",
        "measured, us 618 580 740 807 -",
        "model, us 686 686 686 686 686",
    ]


def test_json_has_the_measured_points_and_the_trend() -> None:
    [curve] = _json_result(ROUTED, curves(ROUTED, 20), DESCRIPTION, [])["model"]
    assert curve["measured"][3] == {"gateways": 8, "measured_us": 806.7, "model_us": 686.3}
    assert curve["trend"].startswith("flat within noise")
