"""PromptCache: OpenAI's chat completions, public, and its management."""
