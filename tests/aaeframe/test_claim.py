from __future__ import annotations

import subprocess
import sys

from aaeframe.claim import alone, claimed

HOLD = """
import sys
from pathlib import Path
from aaeframe.claim import claimed
with claimed(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""


def test_a_run_is_of_one_process_until_that_lets_go_or_dies(tmp_path):
    run = tmp_path / "row/column/seed-0"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout.readline() == "True\n"
        with claimed(run) as mine:
            assert not mine
        with claimed(run.with_name("seed-1")) as mine:
            assert mine
        other.kill()
    with claimed(run) as mine:
        assert mine
    assert not run.exists()


WAIT = """
import sys
from pathlib import Path
from aaeframe.claim import alone
print("asks", flush=True)
with alone(Path(sys.argv[1])):
    print(Path(sys.argv[1]).read_text(), flush=True)
"""


def test_of_two_that_write_the_second_waits_for_the_first(tmp_path):
    path = tmp_path / "results"
    path.write_text("older")
    with alone(path):
        other = subprocess.Popen([sys.executable, "-c", WAIT, str(path)], stdout=subprocess.PIPE, text=True)
        assert other.stdout.readline() == "asks\n"
        path.write_text("newer")
    with other:
        assert other.stdout.read() == "newer\n"
