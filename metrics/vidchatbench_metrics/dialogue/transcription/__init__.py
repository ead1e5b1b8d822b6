"""Transcripts of a reply: by Whisper, by an endpoint, or brought by the user."""
