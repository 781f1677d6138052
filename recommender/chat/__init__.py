"""Conversation: what a person says in turns becomes five movies with reasons."""
