"""An app that knows nothing of Askonce: it asks OpenAI through OpenAI's own SDK.

Reads questions from standard input, one a line (`stream: ` before it asks for a stream), and prints one line of
JSON for each: the answer, the seconds it took and those until its first word, and the answer's `Cache-Status`.
"""

import json
import sys
import time

from openai import OpenAI

MODEL = "gpt-4o-mini"


def main() -> None:
    """Answer every line of standard input."""
    client = OpenAI()
    for line in sys.stdin:
        question = line.strip()
        asked = question.removeprefix("stream: ")
        print(json.dumps(ask(client, asked, stream=asked != question)), flush=True)  # noqa: T201


def ask(client: OpenAI, question: str, *, stream: bool) -> dict[str, str | float | None]:
    """Ask one question. Seconds are wall-clock, counted from the call."""
    start = time.perf_counter()
    chat = client.chat.completions.with_raw_response
    if stream:
        opened = chat.create(model=MODEL, messages=[{"role": "user", "content": question}], stream=True)
        first, answer = None, ""
        for chunk in opened.parse():
            for choice in chunk.choices:
                if choice.delta.content and first is None:
                    first = time.perf_counter() - start
                answer += choice.delta.content or ""
        headers = opened.headers
    else:
        response = chat.create(model=MODEL, messages=[{"role": "user", "content": question}])
        answer = response.parse().choices[0].message.content or ""
        first, headers = time.perf_counter() - start, response.headers
    return {
        "question": question,
        "answer": answer,
        "seconds": round(time.perf_counter() - start, 4),
        "first_word_seconds": None if first is None else round(first, 4),
        "cache_status": headers.get("cache-status"),
    }


if __name__ == "__main__":
    main()
