"""wordllama's own tokens and vectors, without its import and without a copy."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from askonce.cache import vocabulary as module
from askonce.cache.vocabulary import Vocabulary, vocabulary

TABLE = "weights/l2_supercat_256.safetensors"


def test_tokens_and_vectors_are_wordllamas() -> None:
    import wordllama

    model = wordllama.WordLlama.load(cache_dir=Path(wordllama.__file__).parent, disable_download=True)
    every = vocabulary().rows(range(len(model.embedding)))
    assert every.dtype == np.float32
    np.testing.assert_array_equal(every, model.embedding)
    text = "Wie geht's, 日本 <s> 12.5?"
    assert vocabulary().tokens(text) == model.tokenizer.encode(text, add_special_tokens=False).ids


def test_every_16_bit_number_is_the_same_in_32_bits() -> None:
    every = np.arange(1 << 16, dtype=np.uint16)
    numbers = every.view(np.float16).astype(np.float32)
    finite = np.isfinite(numbers)
    widened = module._widened(every.view(np.int16)[finite])
    np.testing.assert_array_equal(widened.view(np.int32), numbers[finite].view(np.int32))


def test_the_table_has_no_numbers_that_widening_takes_for_others() -> None:
    assert np.isfinite(vocabulary()._halves.view(np.float16)).all()


def test_no_tokens_have_no_rows() -> None:
    assert vocabulary().rows(vocabulary().tokens("")).shape == (0, 256)


def test_the_table_is_mapped_and_not_copied() -> None:
    table = vocabulary()._halves
    assert not table.flags.owndata and not table.flags.writeable


def test_embedder_and_judge_import_neither_wordllama_nor_what_it_needs() -> None:
    code = """
import sys
from askonce.cache.embed import load_embedder
from askonce.cache.judge import load_judge
load_embedder("wordllama"), load_judge()
print(sorted({"wordllama", "safetensors", "requests", "urllib3"} & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_table_of_another_sort_is_refused(tmp_path: Path) -> None:
    import wordllama

    folder = Path(wordllama.__file__).parent
    shutil.copytree(folder / "tokenizers", tmp_path / "tokenizers")
    (tmp_path / "weights").mkdir()
    header = json.dumps({"embedding.weight": {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}}).encode()
    (tmp_path / TABLE).write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(ValueError, match=r"weights.* is F32 \[1, 2\], expected F16 and two dimensions"):
        Vocabulary(tmp_path)


def test_where_wordllama_is_missing_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(FileNotFoundError, match="wordllama is not installed"):
        vocabulary.__wrapped__()
