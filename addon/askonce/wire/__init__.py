"""Wire formats: one file each, found by the name that rules.yaml uses."""

from collections.abc import Mapping
from types import MappingProxyType

from askonce.wire.anthropic_messages import AnthropicMessages
from askonce.wire.base import WireFormat
from askonce.wire.cohere_chat import CohereChat
from askonce.wire.gemini import Gemini
from askonce.wire.generic import Generic
from askonce.wire.ollama import Ollama
from askonce.wire.openai_chat import OpenAIChat
from askonce.wire.openai_completions import OpenAICompletions
from askonce.wire.openai_embeddings import OpenAIEmbeddings
from askonce.wire.openai_responses import OpenAIResponses

__all__ = ["WIRE_FORMATS", "wire_format"]

_ALL: tuple[WireFormat, ...] = (
    OpenAIChat(),
    OpenAIResponses(),
    OpenAICompletions(),
    OpenAIEmbeddings(),
    AnthropicMessages(),
    Gemini(),
    CohereChat(),
    Ollama(),
    Generic(),
)

WIRE_FORMATS: Mapping[str, WireFormat] = MappingProxyType({wire.name: wire for wire in _ALL})


def wire_format(name: str) -> WireFormat:
    """The wire format of that name. Raises ValueError."""
    try:
        return WIRE_FORMATS[name]
    except KeyError:
        raise ValueError(f"expected a wire format, one of {', '.join(sorted(WIRE_FORMATS))}; got {name!r}") from None
