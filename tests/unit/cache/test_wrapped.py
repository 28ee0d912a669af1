"""A question is found in what clients put around it, and what is not understood has none."""

import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.cache.wrapped import Unwrapped, unwrap

RICE, FRANCE = "How do I cook rice?", "What is the capital of France?"


def constructed(kind: str, content: Any, **more: Any) -> dict[str, Any]:
    """A message as langchain-core 1.8 dumps it."""
    name = {"human": "HumanMessage", "ai": "AIMessage", "system": "SystemMessage", "tool": "ToolMessage"}[kind]
    kwargs = {"content": content, "type": kind, **more}
    return {"lc": 1, "type": "constructor", "id": ["langchain", "schema", "messages", name], "kwargs": kwargs}


def prompt_value(*messages: Any) -> dict[str, Any]:
    return {"lc": 1, "type": "constructor", "id": ["…", "ChatPromptValue"], "kwargs": {"messages": list(messages)}}


def conversations(question: str) -> dict[str, str]:
    parts = [{"type": "text", "text": question}]
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
    turn, brief = {"role": "user", "content": question}, {"role": "system", "content": "Be brief."}
    values: dict[str, Any] = {
        "langchain": [constructed("system", "Be brief."), constructed("human", question)],
        "langchain, one": [constructed("human", question)],
        "langchain, parts": [constructed("human", [picture, *parts])],
        "langchain, a tool's result after it": [
            constructed("human", question),
            constructed("ai", "", tool_calls=[{"name": "f", "args": {"n": 1}, "id": "c"}]),
            constructed("tool", "42", tool_call_id="c"),
        ],
        "langchain, a prompt value": prompt_value(constructed("human", question)),
        "langchain, dicts": [{"type": "human", "data": {"content": question, "type": "human"}}],
        "openai": [brief, turn],
        "openai, a request": {"model": "gpt-4o", "temperature": 0.7, "messages": [brief, turn]},
        "openai, parts": [{"role": "user", "content": [picture, *parts]}],
        "vercel": {"prompt": [brief, {"role": "user", "content": parts}], "maxOutputTokens": 100},
    }
    lines = {
        "lines": f"Human: {question}",
        "lines, more": f"System: Be brief.\nHuman: Hi\nAI: Hello\nHuman: {question}",
        "lines, open": f"\n\nHuman: {question}\n\nAssistant:",
        "lines, another's": f"User: {question}\nAssistant:",
    }
    return {name: json.dumps(value) for name, value in values.items()} | lines


@pytest.mark.parametrize("form", conversations(""))
def test_the_last_thing_that_the_user_said_is_the_question(form: str) -> None:
    rice, france = unwrap(conversations(RICE)[form]), unwrap(conversations(FRANCE)[form])
    assert (rice.question, rice.is_compared) == (RICE, True)
    assert france.question == FRANCE
    assert rice.around == france.around != ""


@pytest.mark.parametrize(
    "question",
    [
        *(RICE, "Wie geht's?", "2 < 3 (really)?", "ΑΒΓ: τι;", "东京的天气怎么样今天明天后天大后天", "Why: oh why"),
        *("Please answer: how do I cook rice?", "# How do I cook rice?", "How do I cook **rice**?", "Is a=b & c=d?"),
        *("Fix this text:\nHello wrld", "Note: it is late.\nHow do I get home?", "What is a < b | c > d?"),
    ],
)
def test_a_question_alone_is_itself(question: str) -> None:
    assert unwrap(question) == Unwrapped(question)


def test_everything_else_must_be_equal() -> None:
    def around(**changed: Any) -> str:
        said = {"model": "gpt-4o", "temperature": 0.7, "seed": 1} | changed
        return unwrap(json.dumps({**said, "messages": [{"role": "user", "content": RICE}]})).around

    others = [{"model": "gpt-4"}, {"temperature": 0.70}, {"temperature": 0.71}, {"seed": "1"}, {"seed": 2**70}]
    assert [around(**other) == around() for other in others] == [False, True, False, False, False]
    assert around(seed=2**70) != around(seed=2**70 + 1)
    said = [constructed("human", RICE, name="ann"), constructed("human", RICE)]
    assert len({unwrap(json.dumps([message])).around for message in said}) == 2
    assert unwrap(f"Human: {RICE}").around != unwrap(f"User: {RICE}").around


@pytest.mark.parametrize(
    "text",
    [
        '{"question": "How do I cook rice?"}',
        '[1, 2, 3]',
        '[{"role": "user", "content": "a"}, "b"]',
        '[{"role": "system", "content": "Be brief."}]',
        '[{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]',
        '[{"role": "user", "content": "{\\"question\\": \\"How do I cook rice?\\"}"}]',
        '[{"role": "user", "content": "\\ud800"}]',
        '{"messages": [{"role": "user", "content": "a"}], "messages": [{"role": "user", "content": "a"}]}',
        '"{\\"question\\": \\"How do I cook rice?\\"}"',
        "[{'role': 'user', 'content': 'How do I cook rice?'}]",
        "[HumanMessage(content='How do I cook rice?', additional_kwargs={}, response_metadata={})]",
        "messages=[HumanMessage(content='How do I cook rice?')]",
        "content='How do I cook rice?' additional_kwargs={} response_metadata={}",
        "HumanMessage(content='How do I cook rice?')",
        '[{"lc": 1, "type": "constructor", "id": ["langchain", "sch',
        'gpt-4o:[{"role": "user", "content": "How do I cook rice?"}]',
        "<message><user>How do I cook rice?</user></message>",
        "[INST] How do I cook rice? [/INST]",
        "System: Be brief.",
        "AI: Hello",
        'Human: {"question": "How do I cook rice?"}',
        "[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_not_understood_has_no_question(text: str) -> None:
    assert unwrap(text) == Unwrapped("", text, is_compared=False)


TEMPLATES = {
    "ChatML": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n",
    "Llama 2": "<<SYS>>\nBe brief.\n<</SYS>>\n\n[INST] {} [/INST] Well,",
    "Llama 3": "<|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|><|start_header_id|>assistant\n\n",
    "Gemma": "<start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\n",
    "Vicuna": "A chat between a curious user and an artificial intelligence assistant. USER: {} ASSISTANT:",
    "Alpaca": "Below is an instruction that describes a task.\n\n### Instruction:\n{}\n\n### Response:",
    "Alpaca, without an end": "Below is an instruction.\n\n### Instruction:\n{}",
    "LangChain's retrieval": "Use the following pieces of context.\n\nIt is nine.\n\nQuestion: {}\nHelpful Answer:",
    "LangChain's agents": "You have access to these tools:\n\nsearch\n\nBegin!\n\nQuestion: {}\nThought:",
    "LlamaIndex": "Context information is below.\n---\nIt is nine.\n---\nQuery: {}\nAnswer: ",
    "fields": "Context: It is nine.\nQuestion: {}",
    "YAML": "model: gpt-4o\nmessages:\n- role: user\n  content: {}\n",
    "a query": "model=gpt-4o&temperature=0.7&prompt={}",
    "pairs": "tenant=acme;locale=en-GB;{}",
    "Markdown": "**System:** Be brief.\n\n**User:** {}",
    "Markdown, headings": "# System\nBe brief.\n\n# User\n{}",
}
"""What a text model is asked by: LangChain keeps its answers under the whole of it."""


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_text_model_s_template_has_no_question(template: str) -> None:
    text = TEMPLATES[template].format(RICE)
    assert unwrap(text) == Unwrapped("", text, is_compared=False)
    inner = json.dumps([{"role": "user", "content": text}])
    assert unwrap(inner) == Unwrapped("", inner, is_compared=False)


@pytest.mark.parametrize(
    "text", ["9f86d081884c7d659a2feaa0c55ad015", "https://example.com/a?b=c", "user:1234:session:5678"]
)
def test_one_long_word_is_found_by_itself_alone(text: str) -> None:
    assert unwrap(text) == Unwrapped(text, is_compared=False)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(string.printable, max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
)


@given(JSON, JSON)
def test_values_that_differ_are_never_one(one: Any, other: Any) -> None:
    def read(value: Any) -> Unwrapped:
        return unwrap(json.dumps({"messages": [{"role": "user", "content": RICE}], "more": value}))

    assert (read(one) == read(other)) == (json.dumps(one) == json.dumps(other))


@given(st.text())
def test_nothing_is_lost(text: str) -> None:
    found = unwrap(text)
    assert found.question in text or json.dumps(found.question)[1:-1] in text
    assert found.question == text or found.around or not found.is_compared
