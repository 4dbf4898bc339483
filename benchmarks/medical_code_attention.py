"""Time of a training step of JAMS, compared with the two label attentions, one for each system, that it replaces.

    python benchmarks/medical_code_attention.py [--words 500] [--threads 1] [--official folder]

LAAT's sizes and MIMIC-IV's 6,150 + 7,942 labels on random features of a batch. A step is forward, loss, backward and
Adam. Edges are random, as many as the official mappings have between labels; with --official, the folder of the
official files, they are those between the codes with most mappings.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from medcode.codes import gem
from medcode.layers.code_edges import Edges
from medcode.layers.projected_attention import ProjectedLabelAttention
from medcode.models.jams import MedicalCodeAttention

LABELS = {"icd9": 6_150, "icd10": 7_942}
EDGES = {"icd9": 14_000, "icd10": 12_000}
HIDDEN, PROJECTION = 512, 512


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--words", type=int, default=500)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--official", type=Path)
    parser.add_argument("--only", choices=("jams", "two"), help="one of the two, for its peak memory")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(0)
    features = torch.randn(arguments.batch, arguments.words, 2 * HIDDEN, requires_grad=True)
    gold = (torch.rand(arguments.batch, sum(LABELS.values())) < 0.001).float()
    edges = official_edges(arguments.official) if arguments.official else random_edges()
    print("edges:", ", ".join(f"{head} {len(head_edges.attending):,}" for head, head_edges in edges.items()))
    make_model = {"jams": lambda: Joint(edges), "two": Two}
    seconds = {}
    for name in [arguments.only] if arguments.only else make_model:
        seconds[name] = step_seconds(make_model[name](), features, gold, arguments.steps)
        print(f"{name}: {seconds[name]:.3f} s of CPU time a step")
    if len(seconds) == 2:
        print(f"ratio: {seconds['jams'] / seconds['two']:.2f}")
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


class Joint(nn.Module):
    """The label attention of JAMS on LAAT's encoder."""

    def __init__(self, edges: dict[str, Edges]) -> None:
        super().__init__()
        self.codes = MedicalCodeAttention(LABELS, PROJECTION, edges)
        self.attention = ProjectedLabelAttention(2 * HIDDEN, PROJECTION, sum(LABELS.values()))
        self.attention.queries = None

    def forward(self, features: Tensor) -> Tensor:
        """[B, N, D] -> [B, Y + Y']."""
        return self.attention(features, None, queries=torch.cat(list(self.codes().values())))


class Two(nn.Module):
    """The label attentions of two LAAT models, one for each system."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.ModuleList(
            ProjectedLabelAttention(2 * HIDDEN, PROJECTION, labels) for labels in LABELS.values()
        )

    def forward(self, features: Tensor) -> Tensor:
        """[B, N, D] -> [B, Y + Y']."""
        return torch.cat([attention(features, None) for attention in self.attention], dim=1)


def step_seconds(model: nn.Module, features: Tensor, gold: Tensor, steps: int) -> float:
    """Return the minimum CPU time of a step, after one to warm up."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        nn.functional.binary_cross_entropy_with_logits(model(features), gold).backward()
        optimizer.step()

    return min([timed(step) for _ in range(steps + 1)][1:])


def timed(work: Callable[[], None]) -> float:
    """CPU seconds of this process: other processes do not count."""
    start = time.process_time()
    work()
    return time.process_time() - start


def random_edges() -> dict[str, Edges]:
    """Edges between random labels, each pair once, a quarter of them exact."""
    edges = {}
    for head, target_head in (("icd9", "icd10"), ("icd10", "icd9")):
        n_targets = LABELS[target_head]
        pairs = torch.randperm(LABELS[head] * n_targets)[: EDGES[head]]
        weight = torch.where(torch.rand(len(pairs)) < 0.25, 1.0, 0.5)
        edges[head] = Edges(pairs // n_targets, pairs % n_targets, weight)
    return edges


def official_edges(folder: Path) -> dict[str, Edges]:
    """Edges of the official files between the codes with most mappings, as many codes as there are labels."""
    table = gem.table(folder).to_pandas()
    rows = table[table["target"].notna()]
    sources = Counter(zip(rows["source_system"], rows["source"], strict=True))
    targets = Counter(zip(rows["target_system"], rows["target"], strict=True))
    codes = {}
    for head, labels in LABELS.items():
        of_head = [code for code, _ in (sources + targets).most_common() if code[0].startswith(head)]
        codes[head] = of_head[:labels]
    column = {code: number for of_head in codes.values() for number, code in enumerate(of_head)}
    triples: dict[str, list[tuple[int, int, float]]] = {head: [] for head in LABELS}
    for row in gem.edges(table, codes["icd9"], codes["icd10"]).to_pylist():
        pair = column[row["source_system"], row["source"]], column[row["target_system"], row["target"]]
        triples[row["direction"].partition("_")[0]].append((*pair, row["weight"]))
    return {
        head: Edges(*torch.tensor([edge[:2] for edge in of_head]).T, torch.tensor([edge[2] for edge in of_head]))
        for head, of_head in triples.items()
    }


if __name__ == "__main__":
    main()
