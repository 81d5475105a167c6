"""C++ of ours, for what library calls do in too many passes over memory or with too much ado a call.

An operator's ``kernel.cpp`` is built by the machine's own compiler at the first use and kept for the next process. It
includes no header of PyTorch, so that this takes a second or two, not a minute; tensors are passed as addresses.

>>> _forward = cpp_function(__file__, "rms_norm_forward", "ppplld")
>>> _forward(x, weight, y, rows, width, eps)  # a tensor for each p, an integer for each l, a float for each d
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lab.files import cache_directory

SOURCE = "kernel.cpp"
HEADERS = Path(__file__).parent
"""The folder whose ``.h`` files any source may include."""
COMPILERS = ("c++", "g++", "clang++")
FLAGS = (
    "-std=c++17",
    "-O3",
    "-march=native",
    "-fopenmp",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-shared",
    "-fPIC",
)
"""Nothing that changes values: sums are reordered only where the source asks for it."""

WIDE_VECTORS = ("-mprefer-vector-width=512",)
"""For x86 alone; where the processor has no such vectors it takes the widest it has."""

KNOWN = {torch.float32: "float32", torch.bfloat16: "bfloat16"}
"""Types of numbers that the C++ knows, and how names of functions end for each."""

TYPES: dict[str, Any] = {"p": ctypes.c_void_p, "l": ctypes.c_int64, "d": ctypes.c_double}


def cpp_function(path: str, name: str, arguments: str, source: str = SOURCE) -> Callable[..., None]:
    """The ``extern "C"`` function ``name`` of the file ``source`` beside the Python file ``path``.

    ``arguments`` has a letter of :data:`TYPES` for each, tensors first; the number of threads follows them by itself.
    Tensors must be contiguous where the function takes them to be. Only for use where :func:`can_build` says yes.
    """
    file = Path(path).with_name(source)
    tensors = arguments.count("p")
    assert arguments.startswith("p" * tensors)
    found: list[Callable[..., None]] = []

    def call(*values: Any) -> None:
        if not found:
            function = _library(file)[name]
            function.argtypes = [*(TYPES[letter] for letter in arguments), ctypes.c_int64]
            function.restype = None
            found.append(function)
        # a call of this kind takes about two microseconds, half of them in ctypes
        found[0](*map(Tensor.data_ptr, values[:tensors]), *values[tensors:], torch.get_num_threads())

    return call


def cpp_functions(path: str, name: str, arguments: str) -> dict[torch.dtype, Callable[..., None]]:
    """:func:`cpp_function` of each type in :data:`KNOWN`, whose names end in it."""
    return {dtype: cpp_function(path, f"{name}_{word}", arguments) for dtype, word in KNOWN.items()}


def takes(*tensors: Tensor) -> bool:
    """Whether the C++ may be given these: on a CPU where it can be built, of one type that it knows."""
    dtype = tensors[0].dtype
    return (
        dtype in KNOWN and all(tensor.dtype == dtype and tensor.is_cpu for tensor in tensors) and can_build()
    )


@cache
def sgemm() -> int | None:
    """Address of the float32 matrix product of PyTorch's BLAS (``sgemm_``, its Fortran interface), if it is there."""
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    try:
        return ctypes.cast(ctypes.CDLL(str(library)).sgemm_, ctypes.c_void_p).value
    except (OSError, AttributeError):
        return None


def rows_of(x: Tensor) -> tuple[Tensor, int]:
    """``[..., D]`` whose rows may lie apart, and how far apart they begin; copied only where it must be."""
    if x.is_contiguous():
        return x, x.shape[-1]
    rows = x.reshape(-1, x.shape[-1])
    rows = rows if rows.stride(1) == 1 else rows.contiguous()
    return rows, rows.stride(0)


@cache
def can_build() -> bool:
    """Whether the C++ can be built here; if not, says why once."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / SOURCE
            source.write_text('#include "vector.h"\nextern "C" void nothing() {}\n', encoding="utf-8")
            _library(source)
    except (OSError, RuntimeError) as error:
        print(f"The C++ of the operators cannot be built here, so they take their other paths: {error}")
        return False
    return True


@cache
def _library(source: Path) -> ctypes.CDLL:
    """The built source, from the cache where it is there."""
    compiler = next((path for name in _compilers() if (path := shutil.which(name))), None)
    if compiler is None:
        raise RuntimeError(f"no C++ compiler ({', '.join(_compilers())}) is installed.")
    key = hashlib.sha256()
    for part in (
        source.read_bytes(),
        *(header.read_bytes() for header in sorted(HEADERS.glob("*.h"))),
        " ".join(_flags()).encode(),
        compiler.encode(),
        _processor(),
    ):
        key.update(part)
    target = cache_directory() / "cpp" / f"{source.parent.name}-{key.hexdigest()[:16]}.so"
    if not target.exists():
        _build(compiler, source, target)
    return ctypes.CDLL(str(target))


def _flags() -> tuple[str, ...]:
    return FLAGS + WIDE_VECTORS if platform.machine() in ("x86_64", "AMD64") else FLAGS


def _compilers() -> tuple[str, ...]:
    """The one that ``$CXX`` names, else the usual ones."""
    named = os.environ.get("CXX")
    return (named,) if named else COMPILERS


def _build(compiler: str, source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        command = [compiler, *_flags(), f"-I{HEADERS}", str(source), "-o", str(partial)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{compiler} says: {(done.stderr.strip().splitlines() or ['nothing'])[0]}")
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _processor() -> bytes:
    """What ``-march=native`` stands for: machine code of one processor may not run on another."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor().encode()
    return "".join(
        sorted({line for line in lines if line.startswith(("flags", "Features", "model name"))})
    ).encode()
