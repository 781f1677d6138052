"""How well a chat re-ranks: replayed conversations, logs, and a chat model as the judge."""
