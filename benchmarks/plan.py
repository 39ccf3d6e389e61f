"""The planner's predictions against measurements: memory and time of six jobs.

    scripts/bench plan [--jobs 0 1 2 3 4 5]

Each job runs `impasto plan --again --json`, then `impasto stylize` with the same options, both as processes
of their own. Memory is the process's peak, and time is from its start to its end.
"""

import json
import os
import subprocess
import sys
import tempfile
import time

from common import CONTENT, STYLE, argument_parser, parse_arguments, save_result

JOBS = (
    "--size 512",
    "--size 1024",
    "--size 1024 --memory 1GB --finest-steps 4",
    "--size 1536 --steps 30 --finest-steps 4",
    "--size 768 --preset gatys2015 --steps 12",
    "--size 640 --optimizer adam --history 5 --pooling average",
)
TRIAL = "--size 64 --steps 4"


def impasto(*arguments: str) -> tuple[str, float, int]:
    """Run a command: what it prints, its seconds, and its peak memory in bytes.

    Raises:
        SystemExit: the command fails.
    """
    with tempfile.TemporaryFile("w+") as out:
        began = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-m", "impasto", *arguments], stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        if status:
            raise SystemExit(f"impasto {' '.join(arguments)} ended with {status}")
        out.seek(0)
        return out.read(), seconds, usage.ru_maxrss * 1024


def run_job(options: str) -> dict[str, object]:
    """Plan a job, run it, and compare."""
    inputs = [str(CONTENT), str(STYLE), *options.split()]
    predicted = json.loads(impasto("plan", *inputs, "--again", "--json")[0])
    with tempfile.TemporaryDirectory() as folder:
        _, seconds, peak = impasto("stylize", *inputs, "-o", f"{folder}/out.png")
    return {
        "layout": predicted["layouts"][-1],
        "predicted_seconds": round(predicted["seconds"], 1),
        "seconds": round(seconds, 1),
        "predicted_megabytes": round(predicted["bytes"] / 1e6),
        "megabytes": round(peak / 1e6),
        "time_predicted_over_measured": round(predicted["seconds"] / seconds, 2),
        "memory_predicted_over_measured": round(predicted["bytes"] / peak, 2),
    }


def main() -> None:
    """Run the chosen jobs."""
    parser = argument_parser(__doc__)
    parser.add_argument(
        "--jobs", type=int, nargs="+", default=range(len(JOBS)), help="numbers of jobs, from 0 [all]"
    )
    chosen = parse_arguments(parser)
    results = {}
    for options in [TRIAL] if chosen.trial else [JOBS[index] for index in chosen.jobs]:
        results[options] = run_job(options)
        print(options, json.dumps(results[options]), flush=True)
    save_result("plan", {"jobs": results}, chosen.results)


if __name__ == "__main__":
    main()
