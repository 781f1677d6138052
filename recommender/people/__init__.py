"""People: the films that they have rated, seen and noted elsewhere, and which movies of a catalogue these are."""
