"""wordllama's vocabulary: what cuts a text into its tokens, and the vector of each.

One rule: nothing of it is copied. The wheel holds the table as 16-bit floats, uncompressed; it is mapped, so that all
processes on the machine share it, and what is looked up becomes 32-bit floats, as wordllama has them. By way of
wordllama the same takes 75 MB instead of 16, and half a second more: its imports, and a copy at twice the size.
"""

import importlib.util
import json
import mmap
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Vocabulary", "vocabulary"]

_TOKENIZER = "tokenizers/l2_supercat_tokenizer_config.json"
_TABLE, _TENSOR = "weights/l2_supercat_256.safetensors", "embedding.weight"


class Vocabulary:
    """Tokens and their vectors. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        """`folder` is the package wordllama's. Raises OSError or ValueError where its files are not what they were."""
        from tokenizers import Tokenizer

        self._tokenizer: Any = Tokenizer.from_file(str(folder / _TOKENIZER))
        table = _mapped(folder / _TABLE, _TENSOR)
        self._halves = table.view(np.int16)
        self.dimension = table.shape[1]

    def tokens(self, text: str) -> list[int]:
        """The ids of the tokens that a text is made of; it has no lone surrogates."""
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids

    def rows(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """(len(tokens), dimension): their vectors."""
        return _widened(self._halves.take(np.array(tokens, dtype=np.intp), axis=0))


@cache
def vocabulary() -> Vocabulary:
    """The one of this process, loaded in 0.1 s when it is first asked for.

    Raises OSError or ValueError where wordllama is not installed as its wheel has it.
    """
    found = importlib.util.find_spec("wordllama")
    if found is None or found.origin is None:
        raise FileNotFoundError("wordllama is not installed")
    return Vocabulary(Path(found.origin).parent)


_SHIFT = np.array(13, np.int32)
_MASK = np.array(-0x70002000, np.int32)
_SCALE = np.array(2.0**112, np.float32)


def _widened(halves: NDArray[np.int16]) -> NDArray[np.float32]:
    """The bits of 16-bit floats, none of them infinite or no number, as the same numbers in 32 bits.

    Sign, exponent and fraction are put where 32-bit floats have them; the product puts the exponent right, whose
    zero is 15 in the one and 127 in the other. NumPy converts one number after the other: 7 µs a prompt, this 4.
    """
    bits = halves.astype(np.int32)
    np.left_shift(bits, _SHIFT, out=bits)
    np.bitwise_and(bits, _MASK, out=bits)
    floats: NDArray[np.float32] = bits.view(np.float32)
    return np.multiply(floats, _SCALE, out=floats)


def _mapped(path: Path, tensor: str) -> NDArray[np.float16]:
    """A two-dimensional tensor of 16-bit floats in a file of safetensors, which is: eight bytes for the length of a
    header, the header in JSON, then the data, little-endian and in rows (https://github.com/huggingface/safetensors)."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        found = json.loads(file.read(length))[tensor]
        if found["dtype"] != "F16" or len(found["shape"]) != 2:
            raise ValueError(f"{path}: {tensor} is {found['dtype']} {found['shape']}, expected F16 and two dimensions")
        held = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if hasattr(mmap, "MADV_WILLNEED"):  # read ahead: a look-up would wait for the disk, and it may be on the event loop
        held.madvise(mmap.MADV_WILLNEED)
    rows, columns = found["shape"]
    flat = np.frombuffer(held, dtype="<f2", count=rows * columns, offset=8 + length + found["data_offsets"][0])
    return flat.reshape(rows, columns)
