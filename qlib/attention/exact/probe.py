"""What the processor offers to products of matrices in half precision."""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Processor:
    """Features that decide which kernel is fast.

    Attributes
    ----------
    name : str
        As the processor calls itself.
    vectors : str
        The widest instructions that PyTorch uses, such as ``"AVX512"``.
    avx512_bf16, amx_bf16, avx512_fp16 : bool
        Products in bfloat16 by vectors, by tiles, and products in float16.
    cores : int
        Physical ones.
    cuda : str or None
        Name of the first CUDA device.
    """

    name: str
    vectors: str
    avx512_bf16: bool
    amx_bf16: bool
    avx512_fp16: bool
    cores: int
    cuda: str | None


def processor():
    """The `Processor` this runs on."""
    found = torch.cpu.get_capabilities()
    return Processor(
        name=str(found.get("cpu_name", "unknown")).strip(),
        vectors=torch.backends.cpu.get_cpu_capability(),
        avx512_bf16=bool(found.get("avx512_bf16", False)),
        amx_bf16=bool(found.get("amx_bf16", False)),
        avx512_fp16=bool(found.get("avx512_fp16", False)),
        cores=int(found.get("num_physical_cores", 1)),
        cuda=torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
    )


def half_dtype(device):
    """The half precision whose products are fast on a device, or None.

    bfloat16 on a CPU with AVX512-BF16 or AMX, and on CUDA from compute capability 8;
    float16 on older CUDA devices.
    """
    if device.type == "cuda":
        recent = torch.cuda.get_device_capability(device) >= (8, 0)
        return torch.bfloat16 if recent else torch.float16
    here = processor()
    fast = device.type == "cpu" and (here.avx512_bf16 or here.amx_bf16)
    return torch.bfloat16 if fast else None


def fused_kernel_is_fast(device):
    """Whether PyTorch's fused kernel uses the half-precision products of a device.

    On CUDA it does, on a CPU with AMX tiles only: with AVX512-BF16 alone it takes as
    long as in float32.
    """
    return device.type == "cuda" or processor().amx_bf16
