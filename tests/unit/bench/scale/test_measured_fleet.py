"""How a real fleet's messages are counted."""

from bench.scale.measured_fleet import sum_segments

LINES = """\
0 0 127.0.0.1:45693 127.0.0.1:7001 users:(("python",pid=77,fd=79)) bbr wscale:10,10 segs_out:66 data_segs_out:65
0 0 127.0.0.1:45694 127.0.0.1:7002 users:(("python",pid=77,fd=80)) bbr wscale:10,10 segs_out:66 data_segs_out:5
0 0 127.0.0.1:45695 127.0.0.1:9999 users:(("python",pid=77,fd=81)) bbr wscale:10,10 segs_out:66 data_segs_out:300
0 0 127.0.0.1:7001 127.0.0.1:45693 users:(("python",pid=78,fd=79)) bbr wscale:10,10 segs_out:66 data_segs_out:4000
0 0 127.0.0.1:45696 127.0.0.1:7001 users:(("python",pid=99,fd=81)) bbr wscale:10,10 segs_out:66 data_segs_out:50000
0 0 127.0.0.1:45697 127.0.0.1:7001 users:(("python",pid=77,fd=82)) bbr wscale:10,10 segs_out:0
"""


def test_what_routers_have_sent_to_gateways_is_summed():
    assert sum_segments(LINES, pids=[77], ports=[7001, 7002]) == 70
