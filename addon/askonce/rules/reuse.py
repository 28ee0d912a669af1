"""The setting `reuse`: what may be done with answers that do not last, by the kind of prompt.

One rule: a kind that a rule does not name has what the defaults say of it.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import model_validator

from askonce.cache.uses import USES, Use, Uses
from askonce.rules.sections import Duration, Section

__all__ = ["ReuseSpec"]

_WORDS: Mapping[object, dict[str, bool]] = {
    "semantic": {"semantic": True},
    "exact": {"semantic": False},
    "off": {"exact": False},
    False: {"exact": False},  # YAML 1.1 reads the bare word so
}


class UseSpec(Section):
    """What may be done with the answers to one kind of prompt: a word (exact, semantic, off) or each by its name."""

    semantic: bool = False
    """Another wording may be given them."""
    exact: bool = True
    """They are kept, for the same call."""
    ttl: Duration | None = None
    """How long they are served, where that is less than the rule's."""

    @model_validator(mode="before")
    @classmethod
    def _from_word(cls, value: Any) -> Any:
        if isinstance(value, Mapping | Section):
            return value
        if isinstance(value, str | bool) and value in _WORDS:
            return _WORDS[value]
        raise ValueError(f"expected exact, semantic or off, or a mapping with semantic, exact and ttl; got {value!r}")

    @classmethod
    def of(cls, use: Use) -> "UseSpec":
        """The same as a setting."""
        return cls(semantic=use.semantic, exact=use.exact, ttl=use.ttl)

    @property
    def use(self) -> Use:
        """The same as the cache takes it."""
        return Use(self.semantic, self.exact, self.ttl)


class ReuseSpec(Section):
    """Which kinds of prompts may be answered again, and how."""

    volatile: UseSpec = UseSpec.of(USES["volatile"])
    """What is true only now, and calls with live tools."""
    act: UseSpec = UseSpec.of(USES["act"])
    """What is to be done."""
    state: UseSpec = UseSpec.of(USES["state"])
    """How things stand with whoever asks."""
    conversation: UseSpec = UseSpec.of(USES["conversation"])
    """What means something only after what was said before."""
    variety: UseSpec = UseSpec.of(USES["variety"])
    """What is to be made up anew."""

    def over(self, defaults: "ReuseSpec") -> "ReuseSpec":
        """The defaults, with the kinds that are named here laid over them."""
        return defaults.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})

    @property
    def uses(self) -> Uses:
        """The same as the cache takes it."""
        return {
            "volatile": self.volatile.use,
            "act": self.act.use,
            "state": self.state.use,
            "conversation": self.conversation.use,
            "variety": self.variety.use,
        }
