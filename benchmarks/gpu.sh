#!/bin/sh
# Proves and measures this package on a GPU, within minutes: benchmarks/gpu.sh [--minutes 12] [--only c,e] [--help]
#
# Needs a python3 (or the one that PYTHON names) with torch, Triton, numpy, pandas, pyarrow, scikit-learn, safetensors,
# transformers, pytest, hypothesis, jinja2, tqdm, pyyaml and pydantic; neither DVC nor gensim nor a network. What is
# missing may lie as wheels in a folder that WHEELS names. Writes gpu-report.json and gpu-report.md to $OUT, or to
# ./gpu-report. Part b reads data/inputs, which `make repro` makes.
set -eu
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
if [ -n "${WHEELS:-}" ]; then
    site=$(mktemp -d)
    trap 'rm -rf "$site"' EXIT
    "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$site" "$WHEELS"/*.whl
    PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH}
fi
export PYTHONPATH="$PWD/src${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
"$python" benchmarks/gpu.py "$@"
