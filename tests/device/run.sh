#!/usr/bin/env bash
# Everything that needs a GPU, in one call on a machine that has one:
#
#     tests/device/run.sh [FOLDER]
#
# A Python that has CuPy (PYTHON, python3 by default) is used as it is, and what labdaq needs beside it is installed
# where there is a network. FOLDER gets figures.json and the log of the tests. Ends with 0 when all tests passed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out="${1:-out/device}"
python="${PYTHON:-python3}"
mkdir -p "$out"

environment="$(mktemp -d)"
trap 'rm -rf "$environment"' EXIT
"$python" -m venv --system-site-packages "$environment"
# A virtual environment of a virtual environment does not see the packages of the first by itself.
"$python" -c 'import site; print("\n".join(site.getsitepackages()))' >"$("$environment/bin/python" -c 'import site; print(site.getsitepackages()[0])')/above.pth"
python="$environment/bin/python"
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1

if ! "$python" -c 'import cupy' 2>/dev/null; then
    "$python" -m pip install --quiet '.[cuda]' || echo "CuPy is not there, and could not be installed" >&2
fi
missing=()
for package in numba cloudpickle pydantic yaml psutil tqdm typer pytest hypothesis pytest_timeout; do
    "$python" -c "import $package" 2>/dev/null || missing+=("${package/yaml/pyyaml}")
done
if [ "${#missing[@]}" -gt 0 ]; then
    echo "installing: ${missing[*]}"
    "$python" -m pip install --quiet "${missing[@]//_/-}" || echo "not to be had: ${missing[*]}" >&2
fi

status=0
"$python" -m pytest -p no:cacheprovider -q --timeout 120 -o addopts="--import-mode=importlib" \
    tests/device tests/ring/test_device_memory.py tests/kernels/test_cuda_as_c.py 2>&1 | tee "$out/tests.log" || status=$?
"$python" -m tests.device.measure --out "$out/figures.json" 2>&1 | tee "$out/figures.txt" || status=$?
exit "$status"
