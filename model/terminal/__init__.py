"""What the session programs share with people at a terminal: questions, and what a typed line means."""
