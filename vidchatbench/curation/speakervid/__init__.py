"""The dataset SpeakerVid-5M as published: names, annotations and lists, read tolerantly and validated strictly."""
