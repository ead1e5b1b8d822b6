"""Speed and memory of the index over annotations: made-up ones in the published layout, indexed and read once.

Run it as `python benchmarks/index_speed.py [--clips N] [--json]`. Annotations are made in archives first, which is not
counted; a process of its own then indexes them, and another reads all dialogue pairs. The bar is 100 000 annotations,
each with transcript, caption and sharpness, in 60 seconds and 1 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests" / "support"
MAKE = """
import sys
from itertools import islice
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from speakervid_made import MadeLists, make_clips, write_archives
wanted = int(sys.argv[4])
clips = list(islice(make_clips(wanted, seed=1), wanted))
write_archives(Path(sys.argv[1]), clips, MadeLists(hq=[clip.name for clip in clips[::3]]), batches=19)
print(len(clips))
"""
INDEX = """
import sys
from pathlib import Path
from vidchatbench.curation.speakervid.index import AnnotationIndex
with AnnotationIndex.build(Path(sys.argv[1]), Path(sys.argv[2])) as index:
    print(index.counts().merged)
"""
READ = """
import sys
from pathlib import Path
from vidchatbench.curation.speakervid.branches import SpeakerVid
dataset = SpeakerVid(Path(sys.argv[2]))
print(sum(1 for _ in dataset.iterate("dialogue")))
"""


def measured(program: str, *arguments: object) -> dict[str, float | int]:
    """Runs a program in a process of its own; returns what it cost, and what it counted."""
    started = time.perf_counter()
    command = [sys.executable, "-c", program, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        counted = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit("the measured process failed")
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "wall_s": time.perf_counter() - started,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_memory_mb": usage.ru_maxrss * unit / 1e6,
        "counted": int(counted),
    }


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root, index = Path(scratch) / "dataset", Path(scratch) / "index.sqlite"
        # In a process of its own too: what this one has in memory would count for those that it starts.
        measured(MAKE, root, index, TESTS, chosen.clips)
        report = {
            "index": measured(INDEX, root, index),
            "again": measured(INDEX, root, index),
            "read": measured(READ, root, index),
            "index_mb": index.stat().st_size / 1e6,
        }
    if chosen.json:
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
        return
    rows = [("annotations", f"{report['index']['counted']}")]  # type: ignore[index]
    for name, title in (("index", "indexed"), ("again", "nothing new"), ("read", "all dialogue pairs read")):
        cost = report[name]
        rows += [
            (f"{title}: wall seconds", f"{cost['wall_s']:.1f}"),  # type: ignore[index]
            (f"{title}: CPU seconds", f"{cost['cpu_s']:.1f}"),  # type: ignore[index]
            (f"{title}: peak memory, MB", f"{cost['peak_memory_mb']:.0f}"),  # type: ignore[index]
        ]
    rows += [("dialogue pairs", f"{report['read']['counted']}"), ("size of the index, MB", f"{report['index_mb']:.0f}")]  # type: ignore[index]
    for name, value in rows:
        sys.stdout.write(f"{name:<45} {value}\n")


if __name__ == "__main__":
    main()
