"""Judging what is said: rubric, panel and calibration; `llm` asks the models."""
