"""Run the tests and benchmarks that need a GPU, the most important first, and update a report after each.

    benchmarks/gpu.sh [--minutes 12] [--only c,e]

Each part has its own processes and its own share of the time, so a part that fails or takes too long stops no other.
Time that a part does not need goes to the parts after it. A second call reruns the parts that did not succeed; --only
runs the parts that it names in any case.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import shlex
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TAIL = 6_000  # characters of a command's output that the report keeps
RESERVE = 15  # seconds that a command leaves to each that follows it in its part
VERSIONS = "torch", "triton", "numpy", "transformers", "pydantic"
MACHINE = """
import json, torch
found = {"torch sees": torch.cuda.device_count()}
if torch.cuda.is_available():
    card = torch.cuda.get_device_properties(0)
    found |= {"card": card.name, "capability": [card.major, card.minor], "GiB": round(card.total_memory / 2**30)}
    found |= {"CUDA": torch.version.cuda, "cuDNN": torch.backends.cudnn.version()}
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Part:
    """Commands that answer one question.

    `commands` and `tiny` are arguments of python; {device} is filled in. `tiny` takes seconds, to try the script.
    """

    letter: str
    title: str
    seconds: int
    commands: tuple[str, ...]
    tiny: tuple[str, ...]


TRAIN, ATTENTION = "benchmarks/train.py --device {device}", "benchmarks/label_attention.py --device {device}"
RECURRENT, ENCODERS = "benchmarks/recurrent.py --device {device}", "benchmarks/encoders.py --device {device}"
PARALLEL = f" -n {min(8, os.cpu_count() or 1)}" if find_spec("xdist") else ""  # most of their time is the compiler's
GPU_TESTS = f"-m pytest -q -p no:cacheprovider -m gpu{PARALLEL} tests/layers tests/engine tests/training"
COMPARED = "caml cnn multirescnn laat mt_ram"  # with figures of their authors' code
NOT_COMPARED = "marn fusion dcan gatedcnn_nci bigru bigru_label_attention dr_caml"
SOME = "--documents 1000 --steps 25"
TINY_TRAIN = "--steps 1 --documents 8 --max-tokens 40 --batch 4 --against"
PARTS = (
    Part("a", "Tests of layers and training on the GPU", 120, (GPU_TESTS,), (GPU_TESTS,)),
    Part(
        "b", "Real trainings: the embedded corpus on the GPU and on the CPU", 90,
        ("benchmarks/curves.py caml multirescnn --device {device} --epochs 2 --steps 30",),
        ("benchmarks/curves.py caml --device {device} --epochs 1 --steps 2 --threads 1",),
    ),
    Part(
        "c", "Label attention alone", 80,
        (
            f"{ATTENTION} --precision bf16 --widths 50 300 512x1024 768",
            f"{ATTENTION} --precision fp32 --widths 50 300 512x1024 768 --forms plain streams kernels",
        ),
        (f"{ATTENTION} --labels 300 --batch 1 --positions 20 --widths 16 --repeats 1",),
    ),
    Part(
        "d", "Recurrent networks alone: one model, and ten side by side", 110,
        (
            f"{RECURRENT} --precision bf16 --networks gru64 gru150 gru300 gru512 lstm64 lstm256 lstm512",
            f"{RECURRENT} --precision bf16 --networks gru300 --models 10 --repeats 3",
        ),
        (f"{RECURRENT} --positions 6 --networks gru16 --batch 2 --repeats 1 --models 2",),
    ),
    Part(
        "e", "Training steps of every model", 200,
        (
            f"{TRAIN} {COMPARED} --label-set full --graphs off on {SOME} --against",
            f"{TRAIN} {COMPARED} {NOT_COMPARED} --label-set top50 --graphs on {SOME} --against",
            f"{TRAIN} {NOT_COMPARED} --label-set full --graphs on {SOME}",
            f"{TRAIN} jams joint_laat --label-set full --graphs on --documents 500 --steps 10",
        ),
        (f"{TRAIN} cnn mt_ram --graphs off on {TINY_TRAIN}",),
    ),
    Part(
        "f", "Ten seeds together", 70,
        (
            f"{TRAIN} mt_ram --label-set top50 --seeds 10 --graphs on --documents 1000 --steps 15 --against",
            f"{TRAIN} caml multirescnn --label-set top50 --seeds 10 --graphs on --documents 1000 --steps 15 --against",
        ),
        (f"{TRAIN} mt_ram --seeds 2 {TINY_TRAIN}",),
    ),
    Part(
        "g", "PLM-ICD and BERT", 75,
        (
            f"{ENCODERS} plm_icd --size roberta-base-pm --labels 8921 --subwords 3072 --batch 16 "
            "--checkpointing off on",
            f"{ENCODERS} bert_hier bert_trun --size bert-base-uncased --subwords 2500 --batch 16",
        ),
        (f"{ENCODERS} plm_icd --tiny --subwords 40 --batch 2 --steps 1",),
    ),
)  # fmt: skip


class Report:
    """The results so far, written to disk after every command.

    Args:
        folder: of gpu-report.json and gpu-report.md; parts of an earlier report are kept.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "gpu-report.json"
        self.content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"machine": {}, "parts": {}}

    def ended_well(self, letter: str) -> bool:
        """Whether every command of a part ended with 0."""
        commands = self.content["parts"].get(letter, {}).get("commands", [])
        return bool(commands) and all(command["exit_code"] == 0 for command in commands)

    def write(self) -> None:
        """Replace both files."""
        for name, text in (
            ("gpu-report.json", json.dumps(self.content, indent=1) + "\n"),
            ("gpu-report.md", self.markdown()),
        ):
            partial = self.folder / f".{name}"
            partial.write_text(text)
            partial.replace(self.folder / name)

    def markdown(self) -> str:
        """Return the tables of every part, and the last lines of commands that failed."""
        lines = ["# GPU report", "", *(f"- {name}: {value}" for name, value in self.content["machine"].items())]
        for letter in sorted(self.content["parts"]):
            part = self.content["parts"][letter]
            lines += ["", f"## ({letter}) {part['title']}"]
            for command in part["commands"]:
                ending = "out of time" if command["timed_out"] else f"exit code {command['exit_code']}"
                lines += ["", f"`{command['command']}`: {command['seconds']} s, {ending}"]
                for table in command["tables"]:
                    lines += ["", *table]
                if not command["tables"] or command["exit_code"]:
                    lines += ["", "```", *command["tail"].splitlines()[-25:], "```"]
        return "\n".join(lines) + "\n"


def tables(output: str) -> list[list[str]]:
    """Return the tables in Markdown within some output, as lines; what another stream wrote in between is left out."""
    lines = [line for line in output.splitlines() if line.startswith("|")]
    split: list[list[str]] = []
    for line, following in itertools.pairwise([*lines, ""]):
        if following.startswith("|---"):
            split.append([])
        if split:
            split[-1].append(line)
    return split


def run(command: str, seconds: float) -> dict[str, Any]:
    """Run one command, for at most so many seconds; print and return its output."""
    start, timed_out = time.perf_counter(), threading.Event()
    process = subprocess.Popen(
        [sys.executable, *shlex.split(command)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", start_new_session=True,
    )  # fmt: skip

    def end() -> None:
        timed_out.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer, output = threading.Timer(seconds, end), []
    timer.start()
    for line in process.stdout:
        output.append(line)
        print(line, end="", flush=True)
    process.wait()
    timer.cancel()
    text = "".join(output)
    return {
        "command": command, "seconds": round(time.perf_counter() - start, 1), "exit_code": process.returncode,
        "timed_out": timed_out.is_set(), "tables": tables(text), "tail": text[-TAIL:],
    }  # fmt: skip


def machine() -> dict[str, Any]:
    """Versions, and the GPU that torch sees."""
    description: dict[str, Any] = {"python": platform.python_version()}
    for name in VERSIONS:
        try:
            description[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            description[name] = "absent"
    process = subprocess.run([sys.executable, "-c", MACHINE], capture_output=True, text=True, check=False)
    return description | (json.loads(process.stdout) if process.returncode == 0 else {"torch": process.stderr[-300:]})


def main() -> None:
    """Run the parts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=12, help="in all (default: %(default)s)")
    parser.add_argument("--only", help="letters of parts, as c,e")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="sizes that show no more than that the script works")
    parser.add_argument("--out", type=Path, default=Path(os.environ.get("OUT") or "gpu-report"), help="folder")
    options = parser.parse_args()
    letters = options.only.split(",") if options.only else [part.letter for part in PARTS]
    if unknown := set(letters) - {part.letter for part in PARTS}:
        parser.error(f"--only: there is no part {', '.join(sorted(unknown))}; there are a to {PARTS[-1].letter}")
    report, ends = Report(options.out), time.perf_counter() + 60 * options.minutes
    report.content["machine"] = machine()
    queue = [part for part in PARTS if part.letter in letters and (options.only or not report.ended_well(part.letter))]
    while queue:
        part, weights = queue[0], sum(part.seconds for part in queue)
        part_ends = time.perf_counter() + (ends - time.perf_counter()) * part.seconds / weights
        report.content["parts"][part.letter] = {"title": part.title, "commands": []}
        commands = part.tiny if options.tiny else part.commands
        for number, command in enumerate(commands, start=1):
            command = command.format(device=options.device)
            print(f"\n({part.letter}) {part.title}: {command}", flush=True)
            reserve = RESERVE * (len(commands) - number)
            result = run(command, max(RESERVE, part_ends - time.perf_counter() - reserve))
            report.content["parts"][part.letter]["commands"].append(result)
            report.write()
        queue = queue[1:]
    print(f"\n{report.markdown()}")
    sys.exit(0 if all(report.ended_well(letter) for letter in letters) else 1)


if __name__ == "__main__":
    main()
