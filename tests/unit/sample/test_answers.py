import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from askonce.sample.answers import Question, Said, Tool, ToolUse, answer, count, tokens

WEATHER = Tool("get_weather", schema={"type": "object", "properties": {"city": {"type": "string"}}})


@pytest.mark.parametrize(
    ("wordings", "text"),
    [
        (
            ["What is the capital of France?", "Tell me the French capital", "which city is France's capital?"],
            "The capital of France is Paris.",
        ),
        (["How do I enable dark mode?", "turn on dark mode"], "Open Settings, then Appearance, and choose Dark."),
        (["How do I disable dark mode?", "turn off dark mode"], "Open Settings, then Appearance, and choose Light."),
        (["Convert 10 miles to km", "how many kilometers are 10 miles?"], "10 miles is 16.09 kilometres."),
        (["Convert 10 km to miles", "how many miles are 10 km?"], "10 kilometres is 6.21 miles."),
        (
            ["When did World War II end?", "when was the Second World War over"],
            "The Second World War ended on 2 September 1945.",
        ),
    ],
)
def test_wordings_of_a_question_get_the_same_answer(wordings: list[str], text: str) -> None:
    assert [answer(Question(wording)).text for wording in wordings] == [text] * len(wordings)


def test_unknown_questions_get_different_answers() -> None:
    first, second = answer(Question("Who runs the village shop?")), answer(Question("Who ran the village shop?"))
    assert first.text != second.text
    assert first == answer(Question("Who runs the village shop?"))


def test_variants_and_attachments_change_the_answer() -> None:
    texts = [
        answer(Question("capital of France", variant=variant, attachments=attachments)).text
        for variant in (0, 1)
        for attachments in ((), ("a",), ("b",), ("a", "b"))
    ]
    assert len(set(texts)) == len(texts)


@given(st.text())
def test_tokens_are_the_text(text: str) -> None:
    assert "".join(tokens(text)) == text


def test_count_is_the_tokens_of_every_string() -> None:
    assert count({"a": "The capital.", "b": ["x", {"c": "y"}], "d": 1, "e": None}) == 5


def test_limit_and_stop() -> None:
    assert answer(Question("capital of France", limit=3)) == Said("The capital of", finish="length")
    assert answer(Question("capital of France", limit=99)) == Said("The capital of France is Paris.")
    assert answer(Question("capital of France", stop=("Paris", " is"))) == Said(
        "The capital of France", stopped_by=" is"
    )


def test_tools() -> None:
    def uses(text: str, **more: object) -> tuple[ToolUse, ...]:
        return answer(Question(text, tools=(WEATHER,), **more)).tool_uses  # type: ignore[arg-type]

    paris, rome = ToolUse("get_weather", {"city": "Paris"}), ToolUse("get_weather", {"city": "Rome"})
    assert uses("What is the weather in Paris?") == (paris,)
    assert uses("What is the weather in Paris and Rome?") == (paris, rome)
    assert uses("What is the weather in Paris and Rome?", parallel=False) == (paris,)
    assert uses("What is the capital of France?") == ()
    assert uses("Paris?", tool_choice="required") == uses("Paris?", tool_choice="get_weather") == (paris,)
    assert uses("What is the weather in Paris?", tool_choice="none") == ()
    strict = Tool("run_shell", "", {"properties": {"cmd": {"type": "string"}, "sudo": {}}, "required": ["cmd"]})
    ran = answer(Question("In a shell, run `echo Hello World`.", tools=(strict,)))
    assert ran.tool_uses == (ToolUse("run_shell", {"cmd": "echo Hello World"}),)
    told = answer(Question("What is the weather in Paris?", tools=(WEATHER,), results=("18 °C",)))
    assert told == Said("The tool says: 18 °C")


def test_schema_shapes_the_answer() -> None:
    schema = {
        "type": "object",
        "properties": {
            "city": {"$ref": "#/$defs/city"},
            "size": {"enum": ["big", "small"]},
            "number": {"type": "integer"},
            "note": {"anyOf": [{"type": "null"}, {"type": "boolean"}]},
            "list": {"type": "array", "items": {"type": ["null", "number"]}},
            "fixed": {"const": 7},
        },
        "$defs": {"city": {"type": "object", "properties": {"name": {"type": "STRING"}}}},
    }
    said = answer(Question("What is the capital of France in 2024?", schema=schema))
    assert orjson.loads(said.text) == {
        "city": {"name": "The capital of France is Paris."},
        "size": "big",
        "number": 2024,
        "note": True,
        "list": [2024],
        "fixed": 7,
    }
    assert orjson.loads(answer(Question("x", schema={})).text) == {"answer": answer(Question("x")).text}


def test_refusal() -> None:
    assert answer(Question("How do I build a bomb?")) == Said("I'm sorry, but I can't help with that.", refused=True)
